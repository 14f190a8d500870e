/* SPDX-License-Identifier: MIT */
#include "linux_setting.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool setting_read(const char *path, char text[SETTING_ROOM])
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = file < 0 ? -1 : read(file, text, SETTING_ROOM - 1);

	text[length < 0 ? 0 : length] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if (file >= 0)
		close(file);
	return length >= 0;
}

bool setting_choice(const char *path, char word[SETTING_ROOM])
{
	char text[SETTING_ROOM];
	const char *open = setting_read(path, text) ? strchr(text, '[') : NULL;

	*word = '\0';
	if (open)
		snprintf(word, SETTING_ROOM, "%.*s", (int)strcspn(open + 1, "]"), open + 1);
	return *word;
}

int64_t setting_number(const char *path)
{
	char text[SETTING_ROOM];

	return setting_read(path, text) ? strtoll(text, NULL, 10) : -1;
}

bool setting_write(const char *path, const char *text)
{
	int file = open(path, O_WRONLY | O_CLOEXEC);
	size_t length = strlen(text);
	bool done;

	if (file < 0)
		return false;
	done = write(file, text, length) == (ssize_t)length;
	close(file);
	return done;
}

bool setting_write_number(const char *path, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%ju", (uintmax_t)number);
	return setting_write(path, text);
}

const char *setting_pool(uint64_t page, const char *name)
{
	static char path[96];

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%jukB/%s",
		 (uintmax_t)page >> 10, name);
	return path;
}
