/* SPDX-License-Identifier: MIT */
#ifndef QUIRE_CLI_DOCTOR_H
#define QUIRE_CLI_DOCTOR_H

int doctor_command(int argc, char **argv);

#endif
