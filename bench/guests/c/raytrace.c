/* Spheres over a chequered floor with shadows and reflections, as a PPM on standard output: structs passed by
 * value, recursion, 64-bit floats. Only + - * / and square root, so that every machine draws the same picture.
 * Usage: raytrace SIZE. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    double x, y, z;
} Vec;

static Vec vec(double x, double y, double z) { return (Vec){x, y, z}; }
static Vec add(Vec a, Vec b) { return vec(a.x + b.x, a.y + b.y, a.z + b.z); }
static Vec sub(Vec a, Vec b) { return vec(a.x - b.x, a.y - b.y, a.z - b.z); }
static Vec scale(Vec a, double s) { return vec(a.x * s, a.y * s, a.z * s); }
static Vec mul(Vec a, Vec b) { return vec(a.x * b.x, a.y * b.y, a.z * b.z); }
static double dot(Vec a, Vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
static Vec unit(Vec a) { return scale(a, 1 / sqrt(dot(a, a))); }

typedef struct {
    Vec centre;
    double radius;
    Vec colour;
    double mirror;
} Sphere;

#define SPHERES 40
static Sphere spheres[SPHERES];

static unsigned seed = 12345;
static double next_random(void) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) / 16777216.0;
}

static void build_scene(void) {
    for (int i = 0; i < SPHERES; i++) {
        double r = 0.2 + 0.5 * next_random();
        spheres[i].centre = vec(next_random() * 10 - 5, r, next_random() * 10 + 2);
        spheres[i].radius = r;
        spheres[i].colour = vec(next_random(), next_random(), next_random());
        spheres[i].mirror = next_random() * 0.6;
    }
}

static int hit_sphere(const Sphere *s, Vec from, Vec dir, double *at) {
    Vec oc = sub(from, s->centre);
    double b = dot(oc, dir), c = dot(oc, oc) - s->radius * s->radius, d = b * b - c;
    if (d < 0) return 0;
    double root = sqrt(d), t = -b - root;
    if (t < 1e-6) t = -b + root;
    if (t < 1e-6 || t >= *at) return 0;
    *at = t;
    return 1;
}

static Vec trace(Vec from, Vec dir, int depth) {
    double at = 1e30;
    const Sphere *hit = NULL;
    for (int i = 0; i < SPHERES; i++)
        if (hit_sphere(&spheres[i], from, dir, &at)) hit = &spheres[i];
    int floor_hit = 0;
    if (dir.y < -1e-9) {
        double t = -from.y / dir.y;
        if (t > 1e-6 && t < at) {
            at = t;
            floor_hit = 1;
            hit = NULL;
        }
    }
    if (!hit && !floor_hit) {
        double t = 0.5 * (dir.y + 1);
        return add(scale(vec(1, 1, 1), 1 - t), scale(vec(0.4, 0.6, 1.0), t));
    }
    Vec point = add(from, scale(dir, at)), normal, colour;
    double mirror;
    if (hit) {
        normal = scale(sub(point, hit->centre), 1 / hit->radius);
        colour = hit->colour;
        mirror = hit->mirror;
    } else {
        normal = vec(0, 1, 0);
        int dark = ((int)floor(point.x) + (int)floor(point.z)) & 1;
        colour = dark ? vec(0.1, 0.1, 0.1) : vec(0.9, 0.9, 0.9);
        mirror = 0.15;
    }
    Vec light = unit(vec(-0.6, 1, -0.4));
    double lit = dot(normal, light), shade = 1e30;
    if (lit < 0) lit = 0;
    for (int i = 0; lit > 0 && i < SPHERES; i++)
        if (hit_sphere(&spheres[i], point, light, &shade)) lit = 0;
    Vec result = scale(colour, 0.15 + 0.85 * lit);
    if (depth > 0 && mirror > 0) {
        Vec bounced = sub(dir, scale(normal, 2 * dot(dir, normal)));
        Vec seen = trace(point, unit(bounced), depth - 1);
        result = add(scale(result, 1 - mirror), scale(mul(seen, vec(1, 1, 1)), mirror));
    }
    return result;
}

static int to_byte(double v) { return v <= 0 ? 0 : v >= 1 ? 255 : (int)(v * 255.0 + 0.5); }

int main(int argc, char **argv) {
    int n = argc > 1 ? atoi(argv[1]) : 32;
    build_scene();
    printf("P6\n%d %d\n255\n", n, n);
    for (int y = 0; y < n; y++)
        for (int x = 0; x < n; x++) {
            Vec sum = vec(0, 0, 0);
            for (int s = 0; s < 4; s++) {
                double u = (x + 0.25 + 0.5 * (s & 1)) / n - 0.5, v = 0.5 - (y + 0.25 + 0.5 * (s >> 1)) / n;
                sum = add(sum, trace(vec(0, 1.5, -3), unit(vec(u, v * 0.8 - 0.1, 1)), 4));
            }
            putchar(to_byte(sum.x / 4));
            putchar(to_byte(sum.y / 4));
            putchar(to_byte(sum.z / 4));
        }
    return 0;
}
