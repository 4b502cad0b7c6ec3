/* What a WASI program asks of its host, and a line on each answer: run by the command, and by the command inside of
 * the command, it says the same. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int compare(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *path) {
    char *names[64];
    int count = 0;
    DIR *directory = opendir(path);
    if (!directory) {
        printf("%s: %s\n", path, strerror(errno));
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory)) && count < 64;)
        names[count++] = strdup(entry->d_name);
    closedir(directory);
    qsort(names, count, sizeof *names, compare);
    printf("%s has", path);
    for (int i = 0; i < count; i++) {
        printf(" %s", names[i]);
        free(names[i]);
    }
    printf("\n");
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        printf("argument %d: %s\n", i, argv[i]);
    printf("variable: %s\n", getenv("GREETING") ? getenv("GREETING") : "none");

    char line[64];
    while (fgets(line, sizeof line, stdin))
        printf("input: %s", line);

    struct timespec before, after, wall;
    clock_gettime(CLOCK_MONOTONIC, &before);
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    clock_gettime(CLOCK_MONOTONIC, &after);
    clock_gettime(CLOCK_REALTIME, &wall);
    long long slept = (after.tv_sec - before.tv_sec) * 1000000000ll + after.tv_nsec - before.tv_nsec;
    printf("slept: %s, after 2020: %s\n", slept >= 2000000 ? "yes" : "no", wall.tv_sec > 1577836800 ? "yes" : "no");

    unsigned char bytes[32] = {0};
    int different = 0;
    getentropy(bytes, sizeof bytes);
    for (int i = 1; i < 32; i++)
        different |= bytes[i] != bytes[0];
    printf("random: %s\n", different ? "yes" : "no");

    mkdir("made", 0777);
    FILE *file = fopen("made/file", "w");
    if (!file) {
        printf("made/file: %s\n", strerror(errno));
        return 1;
    }
    for (int i = 0; i < 1000; i++)
        fprintf(file, "line %d\n", i);
    fclose(file);
    file = fopen("made/file", "a");
    fprintf(file, "the end\n");
    fclose(file);
    struct stat stat_of;
    stat("made/file", &stat_of);
    printf("size: %lld\n", (long long)stat_of.st_size);
    file = fopen("made/file", "r");
    fseek(file, -8, SEEK_END);
    printf("last: %s", fgets(line, sizeof line, file));
    fclose(file);
    truncate("made/file", 7);
    link("made/file", "made/linked");
    symlink("file", "made/symbolic");
    rename("made/linked", "made/renamed");
    list("made");
    stat("made/symbolic", &stat_of);
    printf("size: %lld\n", (long long)stat_of.st_size);
    long length = readlink("made/symbolic", line, sizeof line);
    printf("symbolic: %.*s\n", (int)length, line);
    unlink("made/file");
    unlink("made/renamed");
    unlink("made/symbolic");
    printf("removed: %d\n", rmdir("made"));
    printf("outside: %s\n", open("../outside", O_RDONLY) < 0 ? "refused" : "opened");
    printf("absolute: %s\n", open("/etc/passwd", O_RDONLY) < 0 ? "refused" : "opened");
    printf("missing: %s\n", open("missing", O_RDONLY) < 0 ? strerror(errno) : "opened");
    fprintf(stderr, "to standard error\n");
    return 7;
}
