/* Lets one allocation of at least some size fail, or all from it on: for tests of what a lack of memory does.

   Loaded before the C library (LD_PRELOAD); Python arms it through ctypes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static long countdown, fired, lasting;
static size_t least = (size_t)-1;

void arm_failure(long which, size_t smallest, long all_after) {
    countdown = which;
    fired = 0;
    lasting = all_after;
    least = smallest;
}

long disarm_failure(void) {
    least = (size_t)-1;
    return fired;
}

/* The loader ends the process when it can't make room for a new thread's variables, which is for nobody to mend. */
static int is_loader(void *caller) {
    Dl_info from;
    return dladdr(caller, &from) && from.dli_fname && strstr(from.dli_fname, "ld-linux");
}

static int fails(size_t size, void *caller) {
    if (size < least || is_loader(caller)) return 0;
    long now = __atomic_sub_fetch(&countdown, 1, __ATOMIC_SEQ_CST);
    if (now != 0 && !(lasting && now < 0)) return 0;
    __atomic_add_fetch(&fired, 1, __ATOMIC_SEQ_CST);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size) { return fails(size, __builtin_return_address(0)) ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return fails(count * size, __builtin_return_address(0)) ? NULL : __libc_calloc(count, size); }
void *realloc(void *old, size_t size) { return fails(size, __builtin_return_address(0)) ? NULL : __libc_realloc(old, size); }
void *memalign(size_t to, size_t size) { return fails(size, __builtin_return_address(0)) ? NULL : __libc_memalign(to, size); }
void *aligned_alloc(size_t to, size_t size) { return fails(size, __builtin_return_address(0)) ? NULL : __libc_memalign(to, size); }

int posix_memalign(void **out, size_t to, size_t size) {
    if (fails(size, __builtin_return_address(0))) return ENOMEM;
    *out = __libc_memalign(to, size);
    return *out ? 0 : ENOMEM;
}
