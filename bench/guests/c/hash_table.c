/* A chained hash table of short strings, filled, queried and half emptied again: pointers, malloc, free, memcmp.
 * Usage: hash_table KEYS. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Entry {
    struct Entry *next;
    uint32_t hash, count;
    char key[];
} Entry;

static Entry **buckets;
static uint32_t bucket_count = 64, entries;

static uint32_t hash_of(const char *key) {
    uint32_t h = 2166136261u;
    for (; *key; key++) h = (h ^ (uint8_t)*key) * 16777619u;
    return h;
}

static void grow(void) {
    uint32_t wider = bucket_count * 2;
    Entry **fresh = calloc(wider, sizeof *fresh);
    if (!fresh) exit(1);
    for (uint32_t i = 0; i < bucket_count; i++)
        for (Entry *e = buckets[i], *next; e; e = next) {
            next = e->next;
            e->next = fresh[e->hash & (wider - 1)];
            fresh[e->hash & (wider - 1)] = e;
        }
    free(buckets);
    buckets = fresh;
    bucket_count = wider;
}

static Entry **find(const char *key, uint32_t hash) {
    Entry **at = &buckets[hash & (bucket_count - 1)];
    while (*at && ((*at)->hash != hash || strcmp((*at)->key, key))) at = &(*at)->next;
    return at;
}

static void insert(const char *key) {
    uint32_t hash = hash_of(key);
    Entry **at = find(key, hash);
    if (!*at) {
        size_t length = strlen(key);
        Entry *e = malloc(sizeof *e + length + 1);
        if (!e) exit(1);
        e->next = NULL;
        e->hash = hash;
        e->count = 0;
        memcpy(e->key, key, length + 1);
        *at = e;
        if (++entries > bucket_count) {
            e->count = 1;
            grow();
            return;
        }
    }
    (*at)->count++;
}

static void name_key(char *out, uint32_t n) {
    static const char letters[] = "etaoinshrdlucmfw";
    do {
        *out++ = letters[n & 15];
        n >>= 4;
    } while (n);
    *out = 0;
}

int main(int argc, char **argv) {
    uint32_t keys = argc > 1 ? (uint32_t)atoi(argv[1]) : 1000, seed = 7, found = 0, sum = 0;
    char key[16];
    buckets = calloc(bucket_count, sizeof *buckets);
    if (!buckets) return 1;
    for (uint32_t i = 0; i < keys; i++) {
        seed = seed * 1664525u + 1013904223u;
        name_key(key, seed >> 12);
        insert(key);
    }
    for (uint32_t i = 0; i < keys; i++) {
        name_key(key, i * 3);
        Entry *e = *find(key, hash_of(key));
        if (e) {
            found++;
            sum += e->count;
        }
    }
    uint32_t removed = 0;
    for (uint32_t i = 0; i < keys; i += 2) {
        name_key(key, i);
        Entry **at = find(key, hash_of(key)), *e = *at;
        if (e) {
            *at = e->next;
            free(e);
            removed++;
        }
    }
    printf("%u entries, %u found, %u counted, %u removed\n", entries, found, sum, removed);
    return 0;
}
