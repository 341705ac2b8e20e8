/* Start-up without a C library, and output through semihosting. */
#include "start.h"

extern uint32_t data_begin, data_end, data_source, bss_begin, bss_end, stack_top;
int main(void);

static uint32_t semihost(uint32_t operation, const void *argument)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void put(const char *text) { semihost(0x04, text); }

void leave(uint32_t code)
{
    const uint32_t reason[2] = { 0x20026u, code };
    semihost(0x20, reason);
    for (;;) {
    }
}

void reset(void)
{
    /* Coprocessors 10 and 11 are the floating-point unit. */
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
    __asm__ volatile("dsb\n isb");
    const uint32_t *from = &data_source;
    for (uint32_t *to = &data_begin; to < &data_end; to++) *to = *from++;
    for (uint32_t *to = &bss_begin; to < &bss_end; to++) *to = 0;
    leave((uint32_t)main());
}

static void fault(void) { leave(4); }

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    &stack_top, (const void *)reset, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault,
};
