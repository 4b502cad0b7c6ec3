/* What a machine without an operating system gives to Tepui.
 *
 * A program that is built with the feature `c-platform` defines these functions.
 * They are called from whatever context the program calls Tepui from; none of them
 * may call Tepui. The same in Rust is the trait `Platform` of the crate
 * `tepui-native`.
 */
#ifndef TEPUI_PLATFORM_H
#define TEPUI_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Memory of `bytes` bytes at a multiple of `alignment`, with any content, which is
 * nobody else's until it is released; NULL when there is none. `bytes` is not 0,
 * `alignment` a power of two.
 */
void *tepui_platform_allocate(size_t bytes, size_t alignment);

/* Takes back what tepui_platform_allocate gave for the same `bytes` and `alignment`.
 */
void tepui_platform_release(void *address, size_t bytes, size_t alignment);

/* Writes the lowest address of the running stack, and that after its highest, and
 * answers true; or answers false when they are not known. Guests may then use as much
 * of the stack as the engine's configuration says.
 */
bool tepui_platform_stack(uintptr_t *low, uintptr_t *high);

/* Shows `length` bytes of UTF-8 to whoever looks after the machine. Called with the
 * pieces of the message before tepui_platform_abort.
 */
void tepui_platform_log(const char *text, size_t length);

/* Ends the program, after a mistake in it or in Tepui; never returns. */
_Noreturn void tepui_platform_abort(void);

#ifdef __cplusplus
}
#endif

#endif /* TEPUI_PLATFORM_H */
