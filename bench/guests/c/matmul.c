/* Dense matrices multiplied, in 64-bit floats and in 32-bit integers: address arithmetic over large arrays.
 * Usage: matmul N. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint32_t seed = 1;
static uint32_t next_random(void) { return seed = seed * 1664525u + 1013904223u; }

int main(int argc, char **argv) {
    int n = argc > 1 ? atoi(argv[1]) : 32;
    size_t size = (size_t)n * n;
    double *a = malloc(size * sizeof *a), *b = malloc(size * sizeof *b), *c = calloc(size, sizeof *c);
    uint32_t *p = malloc(size * sizeof *p), *q = malloc(size * sizeof *q), *r = calloc(size, sizeof *r);
    if (!a || !b || !c || !p || !q || !r) return 1;
    for (size_t i = 0; i < size; i++) {
        p[i] = next_random();
        q[i] = next_random();
        a[i] = (p[i] >> 16) / 65536.0;
        b[i] = (q[i] >> 16) / 65536.0;
    }
    for (int i = 0; i < n; i++)
        for (int k = 0; k < n; k++) {
            double x = a[(size_t)i * n + k];
            for (int j = 0; j < n; j++) c[(size_t)i * n + j] += x * b[(size_t)k * n + j];
        }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            uint32_t sum = 0;
            for (int k = 0; k < n; k++) sum += p[(size_t)i * n + k] * q[(size_t)k * n + j];
            r[(size_t)i * n + j] = sum;
        }
    double trace = 0;
    uint32_t mix = 0;
    for (int i = 0; i < n; i++) trace += c[(size_t)i * n + i];
    for (size_t i = 0; i < size; i++) mix = mix * 31 + r[i];
    printf("%.6f %08x\n", trace, mix);
    return 0;
}
