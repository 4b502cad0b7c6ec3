/* What the standard library of a newer Rust expects of the WASI C library and an older one lacks. All weak, so that
 * a C library that has them wins. There are no threads: creating one fails, as a machine without room for it would. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GAP __attribute__((weak))

GAP int pthread_attr_init(void *attributes) {
    (void)attributes;
    return 0;
}
GAP int pthread_attr_destroy(void *attributes) {
    (void)attributes;
    return 0;
}
GAP int pthread_attr_setstacksize(void *attributes, size_t size) {
    (void)attributes;
    (void)size;
    return 0;
}
GAP int pthread_create(void *thread, const void *attributes, void *(*start)(void *), void *argument) {
    (void)thread;
    (void)attributes;
    (void)start;
    (void)argument;
    return EAGAIN;
}
GAP int pthread_join(void *thread, void **result) {
    (void)thread;
    (void)result;
    return ESRCH;
}
GAP int pthread_detach(void *thread) {
    (void)thread;
    return ESRCH;
}

GAP int *__errno_location(void) { return &errno; }

GAP int chmod(const char *path, mode_t mode) {
    (void)path;
    (void)mode;
    errno = ENOSYS;
    return -1;
}

/* Without links: the path made absolute, `.` and `..` taken out, when something is there. */
GAP char *realpath(const char *restrict path, char *restrict resolved) {
    struct stat status;
    char whole[PATH_MAX];
    size_t length = 0;
    if (stat(path, &status) != 0) return NULL;
    if (path[0] != '/') {
        if (!getcwd(whole, sizeof whole)) return NULL;
        length = strlen(whole);
    }
    if (length + strlen(path) + 2 > sizeof whole) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    whole[length++] = '/';
    strcpy(whole + length, path);
    char *out = resolved ? resolved : malloc(PATH_MAX);
    if (!out) return NULL;
    size_t end = 0;
    for (const char *part = whole; *part;) {
        size_t size = strcspn(part, "/");
        if (size == 2 && part[0] == '.' && part[1] == '.') {
            while (end > 0 && out[--end] != '/') {
            }
        } else if (size > 0 && !(size == 1 && part[0] == '.')) {
            out[end++] = '/';
            memcpy(out + end, part, size);
            end += size;
        }
        part += size + (part[size] == '/');
    }
    if (end == 0) out[end++] = '/';
    out[end] = 0;
    return out;
}
