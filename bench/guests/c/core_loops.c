/* What small machines do all day: a linked list that is searched, reversed and sorted, a matrix of 16-bit
 * numbers, a state machine over text, everything folded into a CRC. Usage: core_loops ROUNDS. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint16_t crc_byte(uint8_t data, uint16_t crc) {
    for (int i = 0; i < 8; i++) {
        int carry = (data ^ crc) & 1;
        data >>= 1;
        crc >>= 1;
        if (carry) crc ^= 0xa001;
    }
    return crc;
}
static uint16_t crc_word(uint16_t word, uint16_t crc) { return crc_byte(word >> 8, crc_byte(word & 255, crc)); }

typedef struct Node {
    struct Node *next;
    int16_t value, index;
} Node;

#define NODES 400
static Node nodes[NODES];

static Node *build_list(uint16_t seed) {
    for (int i = 0; i < NODES; i++) {
        nodes[i].next = i + 1 < NODES ? &nodes[i + 1] : NULL;
        nodes[i].value = (int16_t)((i * 37 + seed) & 0x7f);
        nodes[i].index = (int16_t)i;
    }
    return nodes;
}
static Node *reverse(Node *list) {
    Node *done = NULL;
    while (list) {
        Node *next = list->next;
        list->next = done;
        done = list;
        list = next;
    }
    return done;
}
static int by_value(const Node *a, const Node *b) {
    return a->value != b->value ? a->value - b->value : a->index - b->index;
}
static int by_index(const Node *a, const Node *b) { return a->index - b->index; }

static Node *sort_list(Node *list, int (*compare)(const Node *, const Node *)) {
    for (int run = 1;; run *= 2) {
        Node *rest = list, **tail = &list;
        int merges = 0;
        while (rest) {
            merges++;
            Node *a = rest, *b = rest;
            int a_left = 0, b_left = run;
            while (b && a_left < run) {
                a_left++;
                b = b->next;
            }
            while (a_left > 0 || (b_left > 0 && b)) {
                Node *taken;
                if (a_left > 0 && (b_left == 0 || !b || compare(a, b) <= 0)) {
                    taken = a;
                    a = a->next;
                    a_left--;
                } else {
                    taken = b;
                    b = b->next;
                    b_left--;
                }
                *tail = taken;
                tail = &taken->next;
            }
            rest = b;
        }
        *tail = NULL;
        if (merges <= 1) return list;
    }
}

static uint16_t list_round(uint16_t seed, uint16_t crc) {
    Node *list = build_list(seed);
    for (int wanted = 0; wanted < 40; wanted++) {
        int found = 0;
        for (Node *n = list; n; n = n->next)
            if (n->value == wanted) {
                found = n->index;
                break;
            }
        crc = crc_word((uint16_t)found, crc);
        list = reverse(list);
    }
    list = sort_list(list, by_value);
    for (Node *n = list; n; n = n->next) crc = crc_word((uint16_t)n->index, crc);
    list = sort_list(list, by_index);
    return crc_word((uint16_t)list->value, crc);
}

#define SIDE 24
static uint16_t matrix_round(uint16_t seed, uint16_t crc) {
    static int16_t a[SIDE][SIDE], b[SIDE][SIDE];
    static int32_t c[SIDE][SIDE];
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            a[i][j] = (int16_t)((i * j + seed) & 255);
            b[i][j] = (int16_t)((i + j * 3 + seed) & 255);
        }
    for (int i = 0; i < SIDE; i++)
        for (int j = 0; j < SIDE; j++) {
            int32_t sum = 0;
            for (int k = 0; k < SIDE; k++) sum += ((a[i][k] * b[k][j]) >> 2 & 15) * (b[k][j] >> 5 & 127);
            c[i][j] = sum;
        }
    for (int i = 0; i < SIDE; i++) crc = crc_word((uint16_t)c[i][(i + seed) % SIDE], crc);
    return crc;
}

enum State { START, SIGN, INTEGER, FRACTION, EXPONENT, EXPONENT_DIGITS, INVALID, STATES };

static enum State step(enum State state, char c) {
    int digit = c >= '0' && c <= '9';
    switch (state) {
    case START: return digit ? INTEGER : c == '+' || c == '-' ? SIGN : c == '.' ? FRACTION : INVALID;
    case SIGN: return digit ? INTEGER : c == '.' ? FRACTION : INVALID;
    case INTEGER: return digit ? INTEGER : c == '.' ? FRACTION : c == 'e' || c == 'E' ? EXPONENT : INVALID;
    case FRACTION: return digit ? FRACTION : c == 'e' || c == 'E' ? EXPONENT : INVALID;
    case EXPONENT: return digit || c == '+' || c == '-' ? EXPONENT_DIGITS : INVALID;
    case EXPONENT_DIGITS: return digit ? EXPONENT_DIGITS : INVALID;
    default: return INVALID;
    }
}

static uint16_t text_round(uint16_t seed, uint16_t crc) {
    static const char *words[] = {"5012", "1234", "-874", "+122", "35.54400", ".1234500", "-110.700", "+0.64400",
                                  "5.500e+3", "-.123e-2", "-87e+832", "+0.6e-12", "T0.3e-1F", "-T.T++Tq", "1T3.4e4z"};
    uint16_t finals[STATES] = {0};
    for (int i = 0; i < 200; i++) {
        const char *word = words[(i * 7 + seed) % 15];
        enum State state = START;
        for (; *word; word++) state = step(state, *word);
        finals[state]++;
    }
    for (int i = 0; i < STATES; i++) crc = crc_word(finals[i], crc);
    return crc;
}

int main(int argc, char **argv) {
    int rounds = argc > 1 ? atoi(argv[1]) : 10;
    uint16_t crc = 0;
    for (int i = 0; i < rounds; i++) {
        crc = list_round((uint16_t)i, crc);
        crc = matrix_round((uint16_t)i, crc);
        crc = text_round((uint16_t)i, crc);
    }
    printf("%04x\n", crc);
    return 0;
}
