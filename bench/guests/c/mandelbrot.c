/* The Mandelbrot set as a bitmap (PBM) on standard output: a tight loop of 64-bit floats that leaves early.
 * Usage: mandelbrot SIZE (a multiple of 8). */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    int n = argc > 1 ? atoi(argv[1]) : 64;
    unsigned char *row = malloc(n / 8);
    if (!row || n % 8) return 1;
    printf("P4\n%d %d\n", n, n);
    for (int y = 0; y < n; y++) {
        double ci = 2.0 * y / n - 1.0;
        for (int byte = 0; byte < n / 8; byte++) {
            unsigned bits = 0;
            for (int bit = 0; bit < 8; bit++) {
                double cr = 2.0 * (byte * 8 + bit) / n - 1.5, zr = 0, zi = 0, zr2 = 0, zi2 = 0;
                int left = 50;
                while (left > 0 && zr2 + zi2 <= 4.0) {
                    zi = 2 * zr * zi + ci;
                    zr = zr2 - zi2 + cr;
                    zr2 = zr * zr;
                    zi2 = zi * zi;
                    left--;
                }
                bits = bits << 1 | (left == 0);
            }
            row[byte] = (unsigned char)bits;
        }
        fwrite(row, 1, n / 8, stdout);
    }
    return 0;
}
