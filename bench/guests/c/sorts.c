/* Quicksort with an inlined comparison, qsort through a function pointer, heapsort and radix sort of the same
 * numbers: indirect calls, swaps, branches that cannot be foreseen. Usage: sorts COUNT. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void quick(uint32_t *v, int low, int high) {
    while (low < high) {
        uint32_t pivot = v[low + (high - low) / 2];
        int i = low, j = high;
        while (i <= j) {
            while (v[i] < pivot) i++;
            while (v[j] > pivot) j--;
            if (i <= j) {
                uint32_t t = v[i];
                v[i++] = v[j];
                v[j--] = t;
            }
        }
        if (j - low < high - i) {
            quick(v, low, j);
            low = i;
        } else {
            quick(v, i, high);
            high = j;
        }
    }
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void sift(uint32_t *v, int at, int end) {
    for (int child; (child = 2 * at + 1) < end; at = child) {
        if (child + 1 < end && v[child + 1] > v[child]) child++;
        if (v[at] >= v[child]) return;
        uint32_t t = v[at];
        v[at] = v[child];
        v[child] = t;
    }
}
static void heap(uint32_t *v, int n) {
    for (int i = n / 2; i-- > 0;) sift(v, i, n);
    for (int end = n; end-- > 1;) {
        uint32_t t = v[0];
        v[0] = v[end];
        v[end] = t;
        sift(v, 0, end);
    }
}

static void radix(uint32_t *v, uint32_t *spare, int n) {
    for (int shift = 0; shift < 32; shift += 8) {
        int starts[257] = {0};
        for (int i = 0; i < n; i++) starts[(v[i] >> shift & 255) + 1]++;
        for (int i = 0; i < 256; i++) starts[i + 1] += starts[i];
        for (int i = 0; i < n; i++) spare[starts[v[i] >> shift & 255]++] = v[i];
        memcpy(v, spare, (size_t)n * sizeof *v);
    }
}

static uint32_t check(const uint32_t *v, int n) {
    uint32_t mix = 0;
    for (int i = 0; i < n; i++) {
        if (i && v[i - 1] > v[i]) exit(2);
        mix = mix * 31 + v[i];
    }
    return mix;
}

int main(int argc, char **argv) {
    int n = argc > 1 ? atoi(argv[1]) : 1000;
    uint32_t *original = malloc((size_t)n * 4), *v = malloc((size_t)n * 4), *spare = malloc((size_t)n * 4), seed = 99;
    if (!original || !v || !spare) return 1;
    for (int i = 0; i < n; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        original[i] = seed;
    }
    for (int way = 0; way < 4; way++) {
        memcpy(v, original, (size_t)n * 4);
        switch (way) {
        case 0: quick(v, 0, n - 1); break;
        case 1: qsort(v, (size_t)n, sizeof *v, ascending); break;
        case 2: heap(v, n); break;
        default: radix(v, spare, n);
        }
        printf("%08x\n", check(v, n));
    }
    return 0;
}
