/* A small shell over the SQLite library: runs the SQL of standard input (or of a file) against a database
 * and prints each row with `|` between the columns. Usage: sqlite DATABASE [SCRIPT]; `:memory:` is a database too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "sqlite3.h"

static char *read_all(FILE *file) {
    size_t length = 0, room = 1 << 16;
    char *text = malloc(room);
    while (text) {
        length += fread(text + length, 1, room - length - 1, file);
        if (length < room - 1) {
            text[length] = 0;
            return text;
        }
        room *= 2;
        char *wider = realloc(text, room);
        if (!wider) free(text);
        text = wider;
    }
    return NULL;
}

static void print_row(sqlite3_stmt *statement) {
    int columns = sqlite3_column_count(statement);
    for (int i = 0; i < columns; i++) {
        if (i) putchar('|');
        if (sqlite3_column_type(statement, i) == SQLITE_BLOB) {
            const unsigned char *bytes = sqlite3_column_blob(statement, i);
            int length = sqlite3_column_bytes(statement, i);
            for (int k = 0; k < length; k++) printf("%02x", bytes[k]);
        } else {
            const unsigned char *text = sqlite3_column_text(statement, i);
            fputs(text ? (const char *)text : "NULL", stdout);
        }
    }
    putchar('\n');
}

int main(int argc, char **argv) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: sqlite DATABASE [SCRIPT]\n");
        return 2;
    }
    FILE *file = argc == 3 ? fopen(argv[2], "rb") : stdin;
    char *script = file ? read_all(file) : NULL;
    if (!script) {
        fprintf(stderr, "sqlite: cannot read the script\n");
        return 1;
    }
    sqlite3 *database;
    if (sqlite3_open(argv[1], &database) != SQLITE_OK) {
        fprintf(stderr, "sqlite: %s\n", sqlite3_errmsg(database));
        return 1;
    }
    int failures = 0;
    for (const char *rest = script; *rest;) {
        sqlite3_stmt *statement = NULL;
        int status = sqlite3_prepare_v2(database, rest, -1, &statement, &rest);
        if (status == SQLITE_OK && !statement) continue;
        while (status == SQLITE_OK || status == SQLITE_ROW) {
            status = sqlite3_step(statement);
            if (status == SQLITE_ROW) print_row(statement);
        }
        if (status != SQLITE_DONE) {
            printf("error: %s\n", sqlite3_errmsg(database));
            failures++;
            if (!statement) break;
        }
        sqlite3_finalize(statement);
    }
    sqlite3_close(database);
    return failures ? 1 : 0;
}
