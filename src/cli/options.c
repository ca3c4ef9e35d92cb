/* SPDX-License-Identifier: Apache-2.0 */
/* The options before and between the words of a command. Owns no connection; runs once, at start. */
#include "cli/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/mem.h"
#include "base/parse.h"

#define FILE_MAX 65536

static void put(char **to, const char *text)
{
    if (*to)
        explicit_bzero(*to, strlen(*to)); /* it may be a password */
    free(*to);
    *to = str_dup(text);
}

void options_done(struct options *o)
{
    char **texts[] = { &o->server,        &o->username, &o->password,
                       &o->password_file, &o->socket,   &o->cafile };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        put(texts[i], NULL);
    }
    for (int i = 0; i < o->argc; i++)
        put(&o->argv[i], NULL);
    free(o->argv);
    *o = (struct options){ 0 };
}

static int set_port(struct options *o, const char *text, struct err *err)
{
    int64_t port;
    if (!parse_range(text, 1, 65535, &port))
        return err_detail(err, "'%s' is not a port", text);
    o->port = (unsigned)port;
    return 0;
}

static int set_bool(bool *to, const char *text, struct err *err)
{
    return parse_bool(text, to) ? 0 : err_detail(err, "'%s' is not true or false", text);
}

/* "username=root". 1: not such a word. */
static int keyword(struct options *o, const char *word, struct err *err)
{
    const char *eq = strchr(word, '=');
    if (!eq)
        return 1;
    AUTO(free_str) char *key = str_dupn(word, (size_t)(eq - word));
    const char *value = eq + 1;
    if (str_eq(key, "server") || str_eq(key, "hostname"))
        put(&o->server, value);
    else if (str_eq(key, "username"))
        put(&o->username, value);
    else if (str_eq(key, "password"))
        put(&o->password, value);
    else if (str_eq(key, "passwordfile"))
        put(&o->password_file, value);
    else if (str_eq(key, "port"))
        return set_port(o, value, err);
    else if (str_eq(key, "nossl"))
        return set_bool(&o->nossl, value, err);
    else if (str_eq(key, "debug"))
        return set_bool(&o->debug, value, err);
    else
        return 1;
    return 0;
}

static int add_word(struct options *o, const char *word)
{
    o->argv = mem_resize(o->argv, (size_t)o->argc + 2, sizeof(*o->argv));
    o->argv[o->argc++] = str_dup(word);
    o->argv[o->argc] = NULL;
    return 0;
}

/* An option without a value. */
static bool *flag_of(struct options *o, const char *word)
{
    const struct {
        const char *word;
        bool *to;
    } flags[] = {
        { "--nossl", &o->nossl },         { "--insecure", &o->insecure },
        { "--json", &o->json },           { "--debug", &o->debug },
        { "--debug-on-fail", &o->debug }, { "-version", &o->version },
        { "--version", &o->version },
    };

    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        if (str_eq(word, flags[i].word))
            return flags[i].to;
    }
    return NULL;
}

/* Where the value of an option goes; "-p" apart. */
static char **value_of(struct options *o, const char *word)
{
    const struct {
        const char *word;
        char **to;
    } values[] = {
        { "-s", &o->server },          { "-h", &o->server },
        { "-u", &o->username },        { "-pw", &o->password },
        { "-pwf", &o->password_file }, { "--socket", &o->socket },
        { "--cafile", &o->cafile },
    };

    for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
        if (str_eq(word, values[i].word))
            return values[i].to;
    }
    return NULL;
}

static int parse_words(struct options *o, int argc, const char *const *words,
                       struct err *err)
{
    for (int i = 0; i < argc; i++) {
        const char *w = words[i];
        bool *flag = flag_of(o, w), port = str_eq(w, "-p"),
             ignored = str_eq(w, "--traceparent");
        char **value = value_of(o, w);
        if (flag) {
            *flag = true;
            continue;
        }
        if (o->argc
            && str_eq(o->argv[0], "image-build")) { /* its options are the builder's */
            (void)add_word(o, w);
            continue;
        }
        if ((value || port || ignored) && ++i == argc)
            return err_detail(err, "%s needs a value", w);
        if (value)
            put(value, words[i]);
        if (port && set_port(o, words[i], err) < 0)
            return -1;
        if (value || port || ignored)
            continue;
        if (str_eq(w, "-help") || str_eq(w, "--help"))
            w = "help";
        int rc = o->argc ? 1 : keyword(o, w, err);
        if (rc < 0)
            return -1;
        if (rc == 0)
            continue;
        if (!o->argc && w[0] == '-')
            return err_detail(err, "Unknown option: %s", w);
        (void)add_word(o, w);
    }
    return 0;
}

/* "server=a,port=443,username=root": words with commas between them. */
static int parse_extra(struct options *o, const char *extra, struct err *err)
{
    AUTO(free_str) char *copy = str_dup(extra);
    for (char *p = copy, *word; (word = strsep(&p, ","));) {
        const char *const one[] = { word };
        if (!*word)
            continue;
        if (parse_words(o, 1, one, err) < 0)
            return err_detail(err, "XE_EXTRA_ARGS");
        if (o->argc)
            return err_detail(err, "XE_EXTRA_ARGS: '%s' is no option", word);
    }
    return 0;
}

static int parse_file(struct options *o, const char *home, struct err *err)
{
    AUTO(free_str) char *path = str_fmt("%s/.xe", home);
    AUTO(buf_done) struct buf text = BUF_INIT(FILE_MAX);
    if (io_read_file(path, &text) < 0) /* there need be none */
        return errno == ENOENT || errno == ENOTDIR ? 0 : err_detail(err, "%s: %m", path);
    for (char *p = text.data, *line; (line = strsep(&p, "\n"));) {
        line += strspn(line, " \t");
        line[strcspn(line, "\r")] = '\0';
        if (*line && *line != '#'
            && keyword(o, line, err) < 0) /* other words are another client's */
            return err_detail(err, "%s", path);
    }
    if (text.data)
        explicit_bzero(text.data, text.len);
    return 0;
}

static int read_password(struct options *o, struct err *err)
{
    AUTO(buf_done) struct buf text = BUF_INIT(FILE_MAX);
    if (io_read_file(o->password_file, &text) < 0)
        return err_detail(err, "%s: %m", o->password_file);
    AUTO(free_str) char *line = str_dupn(buf_str(&text), strcspn(buf_str(&text), "\r\n"));
    if (text.data)
        explicit_bzero(text.data, text.len);
    put(&o->password, line);
    explicit_bzero(line, strlen(line));
    return 0;
}

int options_parse(int argc, const char *const *words, const char *extra, const char *home,
                  struct options *out, struct err *err)
{
    AUTO(options_done) struct options o = { 0 };
    if ((home && parse_file(&o, home, err) < 0)
        || (extra && parse_extra(&o, extra, err) < 0)
        || parse_words(&o, argc, words, err) < 0)
        return -1;
    if (o.password_file && read_password(&o, err) < 0)
        return -1;
    if (!o.server && o.port)
        put(&o.server, "localhost");
    if (o.socket)
        put(&o.server, NULL);
    *out = o;
    o = (struct options){ 0 };
    return 0;
}

/* A socket of ours or root's: anybody may make files in /tmp. */
static bool usable(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)
           && (st.st_uid == getuid() || st.st_uid == 0);
}

char *options_socket(const struct options *o, struct err *err)
{
    const char *given = o->socket ? o->socket : getenv("SERAI_SOCKET"),
               *xdg = getenv("XDG_RUNTIME_DIR");
    if (given && *given)
        return str_dup(given);
    char *places[] = { xdg ? str_fmt("%s/serai/seraid.sock", xdg) : NULL,
                       str_fmt("/run/user/%u/serai/seraid.sock", getuid()),
                       str_fmt("/tmp/serai-%u/seraid.sock", getuid()),
                       str_dup("/run/serai/seraid.sock") };
    char *found = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        if (!found && places[i] && (usable(places[i]) || i == 3))
            found = TAKE(places[i]);
        free(places[i]);
    }
    if (access(found, F_OK) < 0) {
        free(found);
        (void)err_detail(err, "No seraid runs here (no socket in the runtime directory nor "
                              "at /run/serai): start "
                              "it, or name a server with -s");
        return NULL;
    }
    return found;
}
