/* The planets of the outer solar system, advanced in time: 64-bit floats, square roots, a short inner loop.
 * Usage: nbody STEPS. Prints the energy before and after with nine digits. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define BODIES 5
#define PI 3.141592653589793
#define SOLAR_MASS (4 * PI * PI)
#define YEAR 365.24

typedef struct {
    double position[3], velocity[3], mass;
} Body;

static Body bodies[BODIES] = {
    {{0, 0, 0}, {0, 0, 0}, SOLAR_MASS},
    {{4.84143144246472090e+00, -1.16032004402742839e+00, -1.03622044471123109e-01},
     {1.66007664274403694e-03 * YEAR, 7.69901118419740425e-03 * YEAR, -6.90460016972063023e-05 * YEAR},
     9.54791938424326609e-04 * SOLAR_MASS},
    {{8.34336671824457987e+00, 4.12479856412430479e+00, -4.03523417114321381e-01},
     {-2.76742510726411889e-03 * YEAR, 4.99852801234917238e-03 * YEAR, 2.30417297573763929e-05 * YEAR},
     2.85885980666130812e-04 * SOLAR_MASS},
    {{1.28943695621391310e+01, -1.51111514016986312e+01, -2.23307578892655734e-01},
     {2.96460137564761618e-03 * YEAR, 2.37847173959480950e-03 * YEAR, -2.96589568540237556e-05 * YEAR},
     4.36624404335156298e-05 * SOLAR_MASS},
    {{1.53796971148509165e+01, -2.59193146099879641e+01, 1.79258772950371181e-01},
     {2.68067772490389322e-03 * YEAR, 1.62824170038242295e-03 * YEAR, -9.51592254519715870e-05 * YEAR},
     5.15138902046611451e-05 * SOLAR_MASS},
};

static void rest_centre_of_mass(void) {
    double momentum[3] = {0, 0, 0};
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++) momentum[k] += bodies[i].velocity[k] * bodies[i].mass;
    for (int k = 0; k < 3; k++) bodies[0].velocity[k] = -momentum[k] / SOLAR_MASS;
}

static double energy(void) {
    double sum = 0;
    for (int i = 0; i < BODIES; i++) {
        const Body *a = &bodies[i];
        double speed2 = 0;
        for (int k = 0; k < 3; k++) speed2 += a->velocity[k] * a->velocity[k];
        sum += 0.5 * a->mass * speed2;
        for (int j = i + 1; j < BODIES; j++) {
            double distance2 = 0;
            for (int k = 0; k < 3; k++) {
                double d = a->position[k] - bodies[j].position[k];
                distance2 += d * d;
            }
            sum -= a->mass * bodies[j].mass / sqrt(distance2);
        }
    }
    return sum;
}

static void advance(double dt) {
    for (int i = 0; i < BODIES; i++) {
        Body *a = &bodies[i];
        for (int j = i + 1; j < BODIES; j++) {
            Body *b = &bodies[j];
            double d[3], distance2 = 0;
            for (int k = 0; k < 3; k++) {
                d[k] = a->position[k] - b->position[k];
                distance2 += d[k] * d[k];
            }
            double magnitude = dt / (distance2 * sqrt(distance2));
            for (int k = 0; k < 3; k++) {
                a->velocity[k] -= d[k] * b->mass * magnitude;
                b->velocity[k] += d[k] * a->mass * magnitude;
            }
        }
    }
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++) bodies[i].position[k] += dt * bodies[i].velocity[k];
}

int main(int argc, char **argv) {
    int steps = argc > 1 ? atoi(argv[1]) : 1000;
    rest_centre_of_mass();
    printf("%.9f\n", energy());
    for (int i = 0; i < steps; i++) advance(0.01);
    printf("%.9f\n", energy());
    return 0;
}
