# SPDX-License-Identifier: MIT
# Writes Lua files into a C file as the list `check_texts`, by name:
#	cmake -DINPUTS="FILE.lua;..." -DOUTPUT=FILE.c -P embed.cmake
set(arrays "")
set(list "")
foreach(input ${INPUTS})
	get_filename_component(name ${input} NAME_WE)
	file(READ ${input} bytes HEX)
	string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
	string(REPEAT "." 80 line)
	string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
	string(APPEND arrays "static const unsigned char ${name}[] = {\n${bytes}\n};\n")
	string(APPEND list "\t{\"${name}\", (const char *)${name}, sizeof(${name})},\n")
endforeach()
file(WRITE ${OUTPUT} "#include \"check.h\"\n
${arrays}
const struct script_text check_texts[] = {\n${list}\t{NULL, NULL, 0},\n};\n")
