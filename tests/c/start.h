#ifndef START_H
#define START_H
#include <stdint.h>
void put(const char *text);
void leave(uint32_t code);
#endif
