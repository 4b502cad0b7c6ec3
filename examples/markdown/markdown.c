/*
 * markdown: Markdown in, HTML out.
 *
 *     markdown [FILE...]      reads the files one after another, or standard
 *                             input when there are none or where one is `-`
 *
 * The usual core of Markdown: headings, paragraphs, lists in lists, quotes, code
 * blocks, tables, rules; emphasis, strong, deleted, code, links, images, escapes
 * and hard breaks. HTML in the source is shown, not passed on.
 *
 * An ordinary program of the C library: it knows nothing of WebAssembly, and the
 * same source builds natively.
 */

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How deep quotes, lists and emphasis may nest; what is deeper is plain text. */
enum { DEEPEST = 32 };

/* A piece of text that somebody else owns; not terminated. */
typedef struct {
    const char *at;
    size_t length;
} Text;

/* Lines of the source, without their ends. */
typedef struct {
    Text *line;
    size_t count;
} Lines;

static void *grow(void *old, size_t count, size_t size) {
    void *grown = realloc(old, count * size);
    if (grown == NULL) {
        fputs("markdown: out of memory\n", stderr);
        exit(1);
    }
    return grown;
}

/* ---- texts ---- */

static Text part(Text text, size_t start, size_t end) {
    return (Text){text.at + start, end - start};
}

static size_t indent(Text line) {
    size_t n = 0;
    while (n < line.length && line.at[n] == ' ') n++;
    return n;
}

static Text trim(Text text) {
    while (text.length > 0 && isspace((unsigned char)text.at[0])) text = part(text, 1, text.length);
    while (text.length > 0 && isspace((unsigned char)text.at[text.length - 1])) text.length--;
    return text;
}

static bool blank(Text line) { return trim(line).length == 0; }

static bool starts(Text text, const char *with) {
    size_t length = strlen(with);
    return text.length >= length && memcmp(text.at, with, length) == 0;
}

/* The number of times that `c` stands at the beginning. */
static size_t run(Text text, char c) {
    size_t n = 0;
    while (n < text.length && text.at[n] == c) n++;
    return n;
}

/* ---- output ---- */

static void put(const char *text) { fputs(text, stdout); }

static void put_char(char c) {
    switch (c) {
    case '&': put("&amp;"); break;
    case '<': put("&lt;"); break;
    case '>': put("&gt;"); break;
    case '"': put("&quot;"); break;
    default: putchar(c);
    }
}

static void put_text(Text text) {
    for (size_t i = 0; i < text.length; i++) put_char(text.at[i]);
}

/* ---- inline ---- */

static void put_inline(Text text, int depth);

/* Where the code span that begins at `i` ends, or 0: just after its last backtick. */
static size_t code_span(Text text, size_t i) {
    size_t ticks = run(part(text, i, text.length), '`');
    for (size_t j = i + ticks; j < text.length;) {
        size_t n = run(part(text, j, text.length), '`');
        if (n == ticks) return j + n;
        j += n > 0 ? n : 1;
    }
    return 0;
}

/* Where the bracket that opens at `i` is closed, or 0. */
static size_t closing(Text text, size_t i, char open, char close) {
    int level = 0;
    for (size_t j = i; j < text.length; j++) {
        char c = text.at[j];
        if (c == '\\') j++;
        else if (c == open) level++;
        else if (c == close && --level == 0) return j;
    }
    return 0;
}

/* Where the emphasis by `n` times `c` that begins at `i` is closed, or 0. */
static size_t emphasis_end(Text text, size_t i, char c, size_t n) {
    size_t start = i + n;
    if (start >= text.length || isspace((unsigned char)text.at[start])) return 0;
    if (c == '_' && i > 0 && isalnum((unsigned char)text.at[i - 1])) return 0;
    for (size_t j = start; j < text.length; j++) {
        char here = text.at[j];
        if (here == '\\') {
            j++;
        } else if (here == '`') {
            size_t end = code_span(text, j);
            if (end > 0) j = end - 1;
        } else if (here == c) {
            size_t found = run(part(text, j, text.length), c);
            bool after_space = isspace((unsigned char)text.at[j - 1]) != 0;
            bool in_word = c == '_' && j + found < text.length && isalnum((unsigned char)text.at[j + found]);
            if (!after_space && !in_word && (found == n || found > 2)) return j + found - n;
            j += found - 1;
        }
    }
    return 0;
}

/* Writes the link or image that begins at `i`; gives where it ends, or 0 when there is none. */
static size_t put_link(Text text, size_t i, int depth) {
    bool image = text.at[i] == '!';
    size_t bracket = image ? i + 1 : i;
    size_t end = closing(text, bracket, '[', ']');
    if (end == 0 || end + 1 >= text.length || text.at[end + 1] != '(') return 0;
    size_t last = closing(text, end + 1, '(', ')');
    if (last == 0) return 0;
    Text label = part(text, bracket + 1, end);
    Text target = trim(part(text, end + 2, last));
    Text title = {0};
    const char *quote = target.length > 0 ? memchr(target.at, '"', target.length) : NULL;
    if (quote != NULL && target.at[target.length - 1] == '"' && quote < target.at + target.length - 1) {
        size_t at = (size_t)(quote - target.at);
        title = part(target, at + 1, target.length - 1);
        target = trim(part(target, 0, at));
    }
    put(image ? "<img src=\"" : "<a href=\"");
    put_text(target);
    if (image) {
        put("\" alt=\"");
        put_text(label);
    }
    if (title.length > 0) {
        put("\" title=\"");
        put_text(title);
    }
    put("\">");
    if (!image) {
        put_inline(label, depth + 1);
        put("</a>");
    }
    return last + 1;
}

static void put_inline(Text text, int depth) {
    for (size_t i = 0; i < text.length;) {
        Text rest = part(text, i, text.length);
        char c = rest.at[0];
        size_t end;
        if (c == '\\' && rest.length > 1 && rest.at[1] == '\n') {
            put("<br>");
            i++;
        } else if (c == '\\' && rest.length > 1 && ispunct((unsigned char)rest.at[1])) {
            put_char(rest.at[1]);
            i += 2;
        } else if (starts(rest, "  \n")) {
            put("<br>\n");
            i += 3;
        } else if (c == '`' && (end = code_span(text, i)) > 0) {
            size_t ticks = run(rest, '`');
            put("<code>");
            put_text(trim(part(text, i + ticks, end - ticks)));
            put("</code>");
            i = end;
        } else if (depth < DEEPEST && (c == '[' || starts(rest, "![")) && (end = put_link(text, i, depth)) > 0) {
            i = end;
        } else if (c == '<' && (starts(rest, "<http://") || starts(rest, "<https://")) && (end = closing(text, i, '<', '>')) > 0) {
            put("<a href=\"");
            put_text(part(text, i + 1, end));
            put("\">");
            put_text(part(text, i + 1, end));
            put("</a>");
            i = end + 1;
        } else if (depth < DEEPEST && (c == '*' || c == '_' || c == '~')) {
            size_t n = run(rest, c);
            size_t by = n >= 2 ? 2 : 1;
            const char *tag = c == '~' ? "del" : by == 2 ? "strong" : "em";
            end = c == '~' && by == 1 ? 0 : emphasis_end(text, i, c, by);
            if (end > 0) {
                printf("<%s>", tag);
                put_inline(part(text, i + by, end), depth + 1);
                printf("</%s>", tag);
                i = end + by;
            } else {
                put_text(part(rest, 0, n));
                i += n;
            }
        } else {
            put_char(c);
            i++;
        }
    }
}

/* ---- blocks ---- */

static void put_blocks(Lines lines, bool tight, int depth);

static bool is_rule(Text line) {
    Text text = trim(line);
    if (indent(line) > 3 || text.length < 3 || strchr("-*_", text.at[0]) == NULL) return false;
    size_t marks = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.at[i] == text.at[0]) marks++;
        else if (text.at[i] != ' ') return false;
    }
    return marks >= 3;
}

/* The level of a heading, or 0. */
static size_t heading(Text line) {
    size_t n = run(line, '#');
    return n >= 1 && n <= 6 && (n == line.length || line.at[n] == ' ') ? n : 0;
}

/* How many backticks or tildes open a block of code, or 0. */
static size_t fence(Text line) {
    Text text = trim(line);
    size_t n = text.length > 0 && (text.at[0] == '`' || text.at[0] == '~') ? run(text, text.at[0]) : 0;
    return n >= 3 ? n : 0;
}

/* How wide the marker of a list's item is with the spaces around it, or 0. `ordered` tells which kind. */
static size_t item(Text line, bool *ordered) {
    size_t i = indent(line);
    size_t digits = i;
    if (i > 3 || i >= line.length || is_rule(line)) return 0;
    while (digits < line.length && digits - i < 9 && isdigit((unsigned char)line.at[digits])) digits++;
    *ordered = digits > i;
    if (digits >= line.length) return 0;
    if (strchr(*ordered ? ".)" : "-*+", line.at[digits]) == NULL) return 0;
    size_t end = digits + 1;
    if (end == line.length) return end;
    if (line.at[end] != ' ') return 0;
    size_t spaces = indent(part(line, end, line.length));
    return spaces > 4 ? end + 1 : end + spaces;
}

static bool begins_block(Text line) {
    bool ordered;
    return blank(line) || heading(line) > 0 || fence(line) > 0 || is_rule(line) || starts(trim(line), ">") || item(line, &ordered) > 0;
}

/* Takes the next cell off a table's row. */
static Text cell(Text *row) {
    size_t end = 0;
    while (end < row->length && row->at[end] != '|') {
        if (row->at[end] == '`') {
            size_t after = code_span(*row, end);
            if (after > 0) end = after - 1;
        }
        end += row->at[end] == '\\' && end + 1 < row->length ? 2 : 1;
    }
    if (end > row->length) end = row->length;
    Text found = trim(part(*row, 0, end));
    *row = part(*row, end < row->length ? end + 1 : end, row->length);
    return found;
}

static Text row_of(Text line) {
    Text row = trim(line);
    return starts(row, "|") ? part(row, 1, row.length) : row;
}

/* Whether it is the line below a table's head: dashes, colons and bars. */
static bool is_delimiter_row(Text line) {
    bool dash = false, bar = false;
    for (size_t i = 0; i < line.length; i++) {
        if (strchr("-:| ", line.at[i]) == NULL) return false;
        dash |= line.at[i] == '-';
        bar |= line.at[i] == '|';
    }
    return dash && bar;
}

static void put_row(Text line, Text delimiters, const char *tag) {
    Text row = row_of(line), marks = row_of(delimiters);
    put("<tr>");
    while (marks.length > 0) {
        Text mark = cell(&marks), content = cell(&row);
        bool left = starts(mark, ":");
        bool right = mark.length > 1 && mark.at[mark.length - 1] == ':';
        const char *align = left && right ? "center" : right ? "right" : left ? "left" : NULL;
        printf("<%s", tag);
        if (align != NULL) printf(" align=\"%s\"", align);
        put(">");
        put_inline(content, 0);
        printf("</%s>", tag);
    }
    put("</tr>\n");
}

/* Each of these writes the block that begins at line `i`, and gives the line after it. */

static size_t put_table(Lines lines, size_t i) {
    Text delimiters = lines.line[i + 1];
    put("<table>\n<thead>\n");
    put_row(lines.line[i], delimiters, "th");
    put("</thead>\n<tbody>\n");
    for (i += 2; i < lines.count && !begins_block(lines.line[i]); i++) put_row(lines.line[i], delimiters, "td");
    put("</tbody>\n</table>\n");
    return i;
}

static size_t put_code(Lines lines, size_t i) {
    Text open = trim(lines.line[i]);
    size_t width = fence(open), inset = indent(lines.line[i]);
    Text language = trim(part(open, width, open.length));
    put("<pre><code");
    if (language.length > 0) {
        put(" class=\"language-");
        put_text(language);
        put("\"");
    }
    put(">");
    for (i++; i < lines.count; i++) {
        Text line = lines.line[i], text = trim(line);
        if (fence(text) >= width && run(text, open.at[0]) == text.length) {
            i++;
            break;
        }
        size_t inside = indent(line);
        put_text(part(line, inside < inset ? inside : inset, line.length));
        put("\n");
    }
    put("</code></pre>\n");
    return i;
}

static size_t put_indented_code(Lines lines, size_t i) {
    put("<pre><code>");
    size_t blanks = 0;
    for (; i < lines.count && (indent(lines.line[i]) >= 4 || blank(lines.line[i])); i++) {
        if (blank(lines.line[i])) {
            blanks++;
            continue;
        }
        for (; blanks > 0; blanks--) put("\n");
        put_text(part(lines.line[i], 4, lines.line[i].length));
        put("\n");
    }
    put("</code></pre>\n");
    return i;
}

static size_t put_quote(Lines lines, size_t i, int depth) {
    Lines inside = {0};
    for (; i < lines.count; i++) {
        Text line = trim(lines.line[i]);
        bool marked = starts(line, ">");
        if (!marked && (inside.count == 0 || begins_block(lines.line[i]))) break;
        size_t skip = !marked ? 0 : starts(line, "> ") ? 2 : 1;
        inside.line = grow(inside.line, inside.count + 1, sizeof(Text));
        inside.line[inside.count++] = part(line, skip, line.length);
    }
    put("<blockquote>\n");
    put_blocks(inside, false, depth + 1);
    put("</blockquote>\n");
    free(inside.line);
    return i;
}

/* The line after the list that begins at line `i`. `loose` tells whether blank lines are in it. */
static size_t list_end(Lines lines, size_t i, bool *loose) {
    bool ordered, other;
    size_t width = item(lines.line[i], &ordered), end = i + 1;
    *loose = false;
    for (bool gap = false; end < lines.count; end++) {
        Text line = lines.line[end];
        if (blank(line)) {
            gap = true;
            continue;
        }
        size_t next = item(line, &other);
        if (indent(line) >= width) {
            *loose |= gap;
        } else if (next > 0 && other == ordered) {
            *loose |= gap;
            width = next;
        } else if (gap || begins_block(line)) {
            break;
        }
        gap = false;
    }
    while (blank(lines.line[end - 1])) end--;
    return end;
}

static size_t put_list(Lines lines, size_t i, int depth) {
    bool ordered, other, loose;
    size_t width = item(lines.line[i], &ordered);
    size_t end = list_end(lines, i, &loose);
    unsigned long first = ordered ? strtoul(trim(lines.line[i]).at, NULL, 10) : 1;
    if (ordered && first != 1) printf("<ol start=\"%lu\">\n", first);
    else put(ordered ? "<ol>\n" : "<ul>\n");
    while (i < end) {
        Lines inside = {0};
        width = item(lines.line[i], &other);
        inside.line = grow(NULL, end - i, sizeof(Text));
        inside.line[inside.count++] = part(lines.line[i], width, lines.line[i].length);
        for (i++; i < end; i++) {
            Text line = lines.line[i];
            size_t in = indent(line);
            if (in < width && item(line, &other) > 0 && other == ordered) break;
            inside.line[inside.count++] = part(line, in < width ? in : width, line.length);
        }
        put(loose ? "<li>\n" : "<li>");
        put_blocks(inside, !loose, depth + 1);
        put("</li>\n");
        free(inside.line);
    }
    put(ordered ? "</ol>\n" : "</ul>\n");
    return i;
}

static size_t put_paragraph(Lines lines, size_t i, bool tight) {
    size_t end = i + 1;
    int level = 0;
    while (end < lines.count) {
        Text under = trim(lines.line[end]);
        if (under.length > 0 && (run(under, '=') == under.length || run(under, '-') == under.length)) {
            level = under.at[0] == '=' ? 1 : 2;
            break;
        }
        if (begins_block(lines.line[end])) break;
        end++;
    }
    size_t length = 0;
    char *text = NULL;
    for (size_t k = i; k < end; k++) {
        Text line = lines.line[k];
        line = part(line, indent(line), line.length);
        text = grow(text, length + line.length + 1, 1);
        memcpy(text + length, line.at, line.length);
        length += line.length;
        text[length++] = '\n';
    }
    if (level > 0) printf("<h%d>", level);
    else if (!tight) put("<p>");
    put_inline(trim((Text){text, length}), 0);
    if (level > 0) printf("</h%d>\n", level);
    else put(tight ? (end < lines.count ? "\n" : "") : "</p>\n");
    free(text);
    return level > 0 ? end + 1 : end;
}

static void put_blocks(Lines lines, bool tight, int depth) {
    bool ordered;
    for (size_t i = 0; i < lines.count;) {
        Text line = lines.line[i];
        size_t level = heading(line);
        if (blank(line)) {
            i++;
        } else if (level > 0) {
            Text title = trim(part(line, level, line.length));
            while (title.length > 0 && title.at[title.length - 1] == '#') title.length--;
            printf("<h%zu>", level);
            put_inline(trim(title), 0);
            printf("</h%zu>\n", level);
            i++;
        } else if (fence(line) > 0) {
            i = put_code(lines, i);
        } else if (is_rule(line)) {
            put("<hr>\n");
            i++;
        } else if (indent(line) >= 4) {
            i = put_indented_code(lines, i);
        } else if (depth < DEEPEST && starts(trim(line), ">")) {
            i = put_quote(lines, i, depth);
        } else if (depth < DEEPEST && item(line, &ordered) > 0) {
            i = put_list(lines, i, depth);
        } else if (i + 1 < lines.count && memchr(line.at, '|', line.length) != NULL && is_delimiter_row(lines.line[i + 1])) {
            i = put_table(lines, i);
        } else {
            i = put_paragraph(lines, i, tight);
        }
    }
}

/* ---- files ---- */

/* Splits the source into lines; a tab counts as four spaces. */
static void render(const char *source, size_t length) {
    char *text = NULL;
    size_t count = 0, tabs = 0;
    for (size_t i = 0; i < length; i++) tabs += source[i] == '\t';
    text = grow(NULL, length + 3 * tabs + 1, 1);
    for (size_t i = 0; i < length; i++) {
        size_t times = source[i] == '\t' ? 4 : 1;
        for (; times > 0; times--) text[count++] = source[i] == '\t' ? ' ' : source[i];
    }
    Lines lines = {0};
    for (size_t start = 0; start < count;) {
        const char *end = memchr(text + start, '\n', count - start);
        size_t next = end != NULL ? (size_t)(end - text) : count;
        size_t stop = next > start && text[next - 1] == '\r' ? next - 1 : next;
        if (lines.count % 64 == 0) lines.line = grow(lines.line, lines.count + 64, sizeof(Text));
        lines.line[lines.count++] = (Text){text + start, stop - start};
        start = next + 1;
    }
    put_blocks(lines, false, 0);
    free(lines.line);
    free(text);
}

static bool render_file(const char *name) {
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "rb");
    if (file == NULL) {
        fprintf(stderr, "markdown: cannot open %s: %s\n", name, strerror(errno));
        return false;
    }
    char *source = NULL;
    size_t length = 0;
    for (;;) {
        source = grow(source, length + 65536, 1);
        size_t read = fread(source + length, 1, 65536, file);
        length += read;
        if (read == 0) break;
    }
    bool read_all = !ferror(file);
    if (!read_all) fprintf(stderr, "markdown: cannot read %s: %s\n", name, strerror(errno));
    if (file != stdin) fclose(file);
    if (read_all) render(source, length);
    free(source);
    return read_all;
}

int main(int argc, char **argv) {
    bool all = true;
    if (argc < 2) all = render_file("-");
    for (int i = 1; i < argc; i++) all &= render_file(argv[i]);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "markdown: cannot write: %s\n", strerror(errno));
        all = false;
    }
    return all ? 0 : 1;
}
