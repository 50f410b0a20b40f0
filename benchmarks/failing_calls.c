/* Fails or dies at the n-th write, sync or rename on session files; preloaded into a process under test.

   FAIL_CALL  write, sync or rename (link and unlink count as rename)
   FAIL_AT    number of the call, from 1; later ones fail as well where FAIL_STAYS is set
   FAIL_ERROR number of the error, 0 to kill the process, -1 to write half and kill it
   FAIL_PART  part of the path of the files that count
   FAIL_WHILE a file; while it exists, every write and sync waits instead of all this */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_int calls;

static int is_meant(const char *path)
{
    const char *part = getenv("FAIL_PART");
    return part && strstr(path, part) != NULL;
}

static int is_meant_fd(int fd)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return is_meant(path);
}

static void hang(void)
{
    const char *file = getenv("FAIL_WHILE");
    while (file && access(file, F_OK) == 0)
        usleep(10000);
}

/* Returns whether this call fails; errno is set then. */
static int fails(const char *call)
{
    hang();
    const char *wanted = getenv("FAIL_CALL"), *at = getenv("FAIL_AT"), *error = getenv("FAIL_ERROR");
    if (!wanted || !at || !error || strcmp(wanted, call))
        return 0;
    int number = ++calls, target = atoi(at);
    if (number < target || (number > target && !getenv("FAIL_STAYS")))
        return 0;
    if (atoi(error) == 0)
        kill(getpid(), SIGKILL);
    errno = atoi(error);
    return 1;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real)
        real = dlsym(RTLD_NEXT, "pwrite64");
    if (is_meant_fd(fd) && fails("write")) {
        if (errno > 0)
            return -1;
        real(fd, data, size / 2, offset);
        kill(getpid(), SIGKILL);
    }
    return real(fd, data, size, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return pwrite64(fd, data, size, offset);
}

int fsync(int fd)
{
    static int (*real)(int);
    if (!real)
        real = dlsym(RTLD_NEXT, "fsync");
    return is_meant_fd(fd) && fails("sync") ? -1 : real(fd);
}

int fdatasync(int fd)
{
    static int (*real)(int);
    if (!real)
        real = dlsym(RTLD_NEXT, "fdatasync");
    return is_meant_fd(fd) && fails("sync") ? -1 : real(fd);
}

int rename(const char *from, const char *to)
{
    static int (*real)(const char *, const char *);
    if (!real)
        real = dlsym(RTLD_NEXT, "rename");
    return is_meant(from) && fails("rename") ? -1 : real(from, to);
}

int link(const char *from, const char *to)
{
    static int (*real)(const char *, const char *);
    if (!real)
        real = dlsym(RTLD_NEXT, "link");
    return is_meant(from) && fails("rename") ? -1 : real(from, to);
}

int unlink(const char *path)
{
    static int (*real)(const char *);
    if (!real)
        real = dlsym(RTLD_NEXT, "unlink");
    return is_meant(path) && fails("rename") ? -1 : real(path);
}
