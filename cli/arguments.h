/* SPDX-License-Identifier: MIT */
/*
 * Reading what a script passes to a function.
 *
 * Every one of these raises a script error that names the function and the argument or field when
 * it is not of the right type.  Values are not judged otherwise: a bad length is for the memory
 * manager to refuse.
 */
#ifndef QUIRE_CLI_ARGUMENTS_H
#define QUIRE_CLI_ARGUMENTS_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profile.h"

/* How many arguments there are besides the `self` (0 or 1) objects that the function is called on.
 */
void argument_count(lua_State *L, int self, int least, int most);

/* `what` is how the argument is called in an error message. */
uint64_t argument_address(lua_State *L, int index, const char *what);
int argument_int(lua_State *L, int index, const char *what);
/* Bytes: an integer, or a string such as "4K", "2M", "1G", "1T". */
uint64_t argument_size(lua_State *L, int index, const char *what);
bool argument_boolean(lua_State *L, int index, const char *what);
const char *argument_string(lua_State *L, int index, const char *what, size_t *length);
void argument_table(lua_State *L, int index, const char *what);

/* PROT_*: letters of "rwx-", or "none", or an integer that is passed on as it is. */
int argument_protection(lua_State *L, int index, const char *what);
/* MADV_*: a lower-case name, or an integer that is passed on as it is. */
int argument_advice(lua_State *L, int index, const char *what);

/* Sets of bits.  An array of names, or an integer that is passed on as it is. */
uint64_t argument_bits(lua_State *L, int index, const char *what, const struct bit_name names[]);
/* Pushes { name = true, ... }; an unknown bit is called by its number. */
void push_bits(lua_State *L, uint64_t bits, const struct bit_name names[]);
/* Pushes an array of the names, in their order. */
void push_bit_names(lua_State *L, uint64_t bits, const struct bit_name names[]);

/* Option tables: raises for a field that is not among the names (NULL at the end). */
void fields_known(lua_State *L, int table, const char *const names[]);
/* Pushes the field if the table has it. */
bool field_given(lua_State *L, int table, const char *name);
/* Pushes the field; raises where the table does not have it. */
void field_needed(lua_State *L, int table, const char *name);
/* The field, or zero or false where the table does not have it. */
uint64_t field_address(lua_State *L, int table, const char *name);
uint64_t field_size(lua_State *L, int table, const char *name);
bool field_boolean(lua_State *L, int table, const char *name);
/* The same for a field; 0 where the table does not have it. */
uint64_t field_bits(lua_State *L, int table, const char *name, const struct bit_name names[]);
/*
 * The options of a request with a mode: each name is a boolean field, and `mode` an integer that is
 * passed on instead of them all.  What is not a table at `index` must be nothing.
 */
uint64_t argument_mode(lua_State *L, int index, const struct bit_name names[]);

#endif
