/* Flips over every permutation of N: small integer arrays, unpredictable branches. Usage: fannkuch N (at most 12). */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    int n = argc > 1 ? atoi(argv[1]) : 7;
    if (n < 2 || n > 12) return 1;
    int order[16], work[16], count[16];
    int most = 0, checksum = 0, parity = 0, level = n;
    for (int i = 0; i < n; i++) order[i] = i;
    for (;;) {
        for (; level > 1; level--) count[level - 1] = level;
        if (order[0] != 0) {
            for (int i = 0; i < n; i++) work[i] = order[i];
            int flips = 0;
            for (int first = work[0]; first != 0; first = work[0]) {
                for (int low = 0, high = first; low < high; low++, high--) {
                    int t = work[low];
                    work[low] = work[high];
                    work[high] = t;
                }
                flips++;
            }
            if (flips > most) most = flips;
            checksum += parity ? -flips : flips;
        }
        for (;;) {
            if (level == n) {
                printf("%d\nPfannkuchen(%d) = %d\n", checksum, n, most);
                return 0;
            }
            int first = order[0];
            for (int i = 0; i < level; i++) order[i] = order[i + 1];
            order[level] = first;
            if (--count[level] > 0) break;
            level++;
        }
        parity ^= 1;
    }
}
