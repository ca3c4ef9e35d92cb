/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/rpc.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/test.h"

static void free_json(json_t **j)
{
    json_decref(*j);
}

static char *dump(const json_t *j)
{
    return json_dumps(j, JSON_COMPACT | JSON_ENCODE_ANY);
}

#define CALL(params) "<methodCall><methodName>m</methodName>" params "</methodCall>"
#define VALUE(v)     CALL("<params><param><value>" v "</value></param></params>")
#define STRUCT(m)    VALUE("<struct>" m "</struct>")
#define MEMBER(n, v) "<member><name>" n "</name><value>" v "</value></member>"

TEST(xml_calls)
{
    static const struct {
        const char *xml, *params;
    } cases[] = {
        { CALL(""), "[]" },
        { CALL("<params/>"), "[]" },
        { "<?xml version='1.0'?>\n<methodCall>\n <methodName> m </methodName>\n <params>\n"
          "  <param> <value> x </value> </param>\n </params>\n</methodCall>\n",
          "[\" x \"]" },
        { VALUE(""), "[\"\"]" },
        { VALUE(" \n "), "[\" \\n \"]" },
        { VALUE("<string> a b </string>"), "[\" a b \"]" },
        { VALUE("\n <string/> \n"), "[\"\"]" },
        { VALUE("<int> 42\n</int>"), "[\"42\"]" },
        { VALUE("<i4>-1</i4>"), "[\"-1\"]" },
        { VALUE("<i8>9223372036854775807</i8>"), "[\"9223372036854775807\"]" },
        { VALUE("<double>60.1</double>"), "[\"60.1\"]" },
        { VALUE("<boolean>1</boolean>"), "[true]" },
        { VALUE("<boolean>0</boolean>"), "[false]" },
        { VALUE("<nil/>"), "[null]" },
        { VALUE("<dateTime.iso8601>20260821T02:00:23Z</dateTime.iso8601>"),
          "[\"20260821T02:00:23Z\"]" },
        { VALUE("<base64>QUJD</base64>"), "[\"QUJD\"]" },
        { VALUE("<array><data/></array>"), "[[]]" },
        { VALUE("<array>\n<data>\n<value>a</value>\n<value><array><data></data></array></"
                "value>\n"
                "</data>\n</array>"),
          "[[\"a\",[]]]" },
        { STRUCT(""), "[{}]" },
        { STRUCT(MEMBER("a", "1") MEMBER("b", "<struct/>") MEMBER("a", "2")),
          "[{\"a\":\"2\",\"b\":{}}]" },
        { STRUCT(MEMBER(" a ", "x")), "[{\" a \":\"x\"}]" },
        { VALUE("&lt;&amp;&gt;&quot;&apos;&#65;&#x42;"), "[\"<&>\\\"'AB\"]" },
        { VALUE("<![CDATA[<value>]]>"), "[\"<value>\"]" },
        { VALUE("a<!-- c -->b<?pi x?>c"), "[\"abc\"]" },
        { VALUE("\xc3\xa9\xf0\x9f\x90\xa7"), "[\"\xc3\xa9\xf0\x9f\x90\xa7\"]" },
        { "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>" VALUE("\xe9"),
          "[\"\xc3\xa9\"]" },
        { CALL("<params><param><value>1</value></param><param><value>2</value></param></"
               "params>"),
          "[\"1\",\"2\"]" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(rpc_req_done) struct rpc_req r = { 0 };
        AUTO(err_done) struct err err = { 0 };
        if (xmlrpc_parse(cases[i].xml, strlen(cases[i].xml), &r, &err) < 0)
            test_fail(__FILE__, __LINE__, "%s: %s", cases[i].xml, err_text(&err));
        AUTO(free_str) char *params = dump(r.params);
        CHECK_INT(r.kind, RPC_XML);
        CHECK_STR(r.method, "m");
        CHECK_STR(params, cases[i].params);
    }
}

TEST(xml_refused)
{
    static const char *const cases[] = {
        "",
        " ",
        "x",
        "<methodCall/>",
        "<methodCall><params/></methodCall>",
        "<methodCall><methodName/></methodCall>",
        "<methodCall><methodName>m</methodName>",
        "<methodCall><params/><methodName>m</methodName></methodCall>",
        CALL("<params/><params/>"),
        CALL("") "x",
        CALL("") "<a/>",
        CALL("x"),
        CALL("<params><param/></params>"),
        CALL("<params><value>1</value></params>"),
        CALL("<params><param><value>1</value><value>2</value></param></params>"),
        "<methodResponse><params/></methodResponse>",
        "<value>1</value>",
        VALUE("<float>1</float>"),
        VALUE("x<int>1</int>"),
        VALUE("<int>1</int>x"),
        VALUE("<int>1</int><int>1</int>"),
        VALUE("<int><int>1</int></int>"),
        VALUE("<string>a<b/></string>"),
        VALUE("<boolean>true</boolean>"),
        VALUE("<boolean/>"),
        VALUE("<nil>x</nil>"),
        VALUE("<array/>"),
        VALUE("<array><data/><data/></array>"),
        VALUE("<array><value/></array>"),
        VALUE("<array><data>x</data></array>"),
        STRUCT("<member/>"),
        STRUCT("<member><name>a</name></member>"),
        STRUCT("<member><value>a</value></member>"),
        STRUCT("<member><value>a</value><name>a</name></member>"),
        STRUCT("<member><name>a</name><name>b</name></member>"),
        STRUCT("<value/>"),
        VALUE("\x01"),
        VALUE("&#1;"),
        VALUE("&#0;"),
        VALUE("&#xD800;"),
        VALUE("\xff"),
        VALUE("\xc0\x80"),
        VALUE("\xed\xa0\x80"),
        VALUE("\xef\xbf\xbf"),
        VALUE("&nbsp;"),
        VALUE("a & b"),
        "<!DOCTYPE m>" CALL(""),
        "<!DOCTYPE m [<!ENTITY a 'x'>]>" VALUE("&a;"),
        "<!DOCTYPE m SYSTEM 'file:///etc/passwd'>" CALL(""),
        "<?xml version='1.0' encoding='x-unknown'?>" CALL(""),
        " <?xml version='1.0'?>" CALL(""),
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(rpc_req_done) struct rpc_req r = { 0 };
        AUTO(err_done) struct err err = { 0 };
        if (xmlrpc_parse(cases[i], strlen(cases[i]), &r, &err) == 0)
            test_fail(__FILE__, __LINE__, "accepted %s", cases[i]);
        CHECK_STR(err.code, RPC_MALFORMED);
        CHECK_INT(err.n_params, 1);
    }
    AUTO(rpc_req_done) struct rpc_req r = { 0 };
    CHECK(xmlrpc_parse("<methodCall>\0</methodCall>", 26, &r, NULL) < 0);
}

static char *nested(const char *open, const char *middle, const char *close, int n)
{
    struct buf b = BUF_INIT(0);
    for (int i = 0; i < n; i++)
        buf_add_str(&b, open);
    buf_add_str(&b, middle);
    for (int i = 0; i < n; i++)
        buf_add_str(&b, close);
    return buf_take(&b);
}

TEST(xml_depth)
{
    for (int n = 64; n <= 65; n++) {
        AUTO(free_str)
        char *arrays = nested("<value><array><data>", "<value/>", "</data></array></value>",
                              n);
        AUTO(free_str)
        char *structs = nested("<value><struct><member><name>a</name>",
                               "<value><int>1</int></value>", "</member></struct></value>",
                               n);
        AUTO(free_json) json_t *a = xmlrpc_parse_value(arrays, strlen(arrays), NULL);
        AUTO(free_json) json_t *s = xmlrpc_parse_value(structs, strlen(structs), NULL);
        CHECK((a != NULL) == (n == 64));
        CHECK((s != NULL) == (n == 64));
        AUTO(free_str)
        char *call = str_fmt("<methodCall><methodName>m</methodName><params><param>%s</"
                             "param></params></methodCall>",
                             structs);
        AUTO(rpc_req_done) struct rpc_req r = { 0 };
        CHECK_INT(xmlrpc_parse(call, strlen(call), &r, NULL), n == 64 ? 0 : -1);
    }
    AUTO(free_str) char *deep = nested("<a>", "", "</a>", 100000);
    CHECK(!xmlrpc_parse_value(deep, strlen(deep), NULL));
}

static size_t json_bytes;

static void *counting_malloc(size_t n)
{
    void *p = malloc(n);
    json_bytes += malloc_usable_size(p) + 8;
    return p;
}

static void counting_free(void *p)
{
    if (p)
        json_bytes -= malloc_usable_size(p) + 8;
    free(p);
}

/* Small elements, many of them: the tree stays in proportion to the text. */
TEST(memory_is_bounded)
{
    static const struct {
        const char *head, *piece, *tail;
        bool xml;
    } cases[] = {
        { "<value><array><data>", "<value/>", "</data></array></value>", true },
        { "<value><array><data>", "<value><nil/></value>", "</data></array></value>",
          true },
        { "<value><array><data>", "<value><struct/></value>", "</data></array></value>",
          true },
        { "<value><array><data>", "<value><array><data/></array></value>",
          "</data></array></value>", true },
        { "[0", ",[]", "]", false },
        { "[0", ",{}", "]", false },
        { "[0", ",0", "]", false },
        { "[0", ",\"\"", "]", false },
        { "[0", ",1.5", "]", false },
        { "[0", ",{\"\":0}", "]", false },
    };

    json_set_alloc_funcs(counting_malloc, counting_free);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(buf_done) struct buf b = BUF_INIT(0);
        buf_add_str(&b, cases[i].xml ? cases[i].head : "{\"method\":\"m\",\"params\":");
        if (!cases[i].xml)
            buf_add_str(&b, cases[i].head);
        for (int n = 0; n < 100000; n++)
            buf_add_str(&b, cases[i].piece);
        buf_add_str(&b, cases[i].tail);
        AUTO(rpc_req_done) struct rpc_req r = { 0 };
        json_t *value = NULL;
        json_bytes = 0;
        if (cases[i].xml)
            value = xmlrpc_parse_value(b.data, b.len, NULL);
        else {
            buf_add_char(&b, '}');
            if (jsonrpc_parse(b.data, b.len, &r, NULL) < 0)
                CHECK(!r.params);
        }
        if (json_bytes > b.len * 16 + 300000)
            test_fail(__FILE__, __LINE__, "case %zu: %zu bytes of tree for %zu of text", i,
                      json_bytes, b.len);
        json_decref(value);
    }
    json_set_alloc_funcs(malloc, free);
}

TEST(xml_responses)
{
    static const struct {
        const char *xml, *want;
    } cases[] = {
        { "<methodResponse><params><param><value>a</value></param></params></"
          "methodResponse>",
          "\"a\"" },
        { "<methodResponse><params/></methodResponse>", NULL },
        { "<methodResponse/>", NULL },
        { "<methodResponse><params><param><value/></param><param><value/></param></params>"
          "</methodResponse>",
          NULL },
        { "<methodResponse><fault><value>no</value></fault></methodResponse>", NULL },
        { CALL(""), NULL },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(err_done) struct err err = { 0 };
        AUTO(free_json)
        json_t *j = xmlrpc_parse_response(cases[i].xml, strlen(cases[i].xml), &err);
        AUTO(free_str) char *got = j ? dump(j) : NULL;
        CHECK(str_eq(got, cases[i].want));
        CHECK((j == NULL) == (err.code != NULL));
    }
    AUTO(free_json) json_t *v = xmlrpc_parse_value("<value>OpaqueRef:1</value>", 26, NULL);
    CHECK_STR(json_string_value(v), "OpaqueRef:1");
}

TEST(json_requests)
{
    static const struct {
        const char *text;
        enum rpc_kind kind;
        const char *params, *id;
    } cases[] = {
        { "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":[1,\"a\",true,null,{}],\"id\":"
          "7}",
          RPC_JSON2, "[1,\"a\",true,null,{}]", "7" },
        { "{\"method\":\"m\"}", RPC_JSON1, "[]", NULL },
        { " {\"method\":\"m\",\"params\":null,\"id\":null} \n", RPC_JSON1, "[]", "null" },
        { "{\"jsonrpc\":\"1.0\",\"method\":\"m\",\"id\":\"x\"}", RPC_JSON1, "[]", "\"x\"" },
        { "{\"method\":\"x\",\"method\":\"m\",\"params\":[{\"a\":1,\"a\":2}]}", RPC_JSON1,
          "[{\"a\":2}]", NULL },
        { "{\"method\":\"m\",\"params\":[9223372036854775807,-9223372036854775808]}",
          RPC_JSON1, "[9223372036854775807,-9223372036854775808]", NULL },
        { "{\"method\":\"m\",\"params\":[\"[[[[{{{{\\\"]\\\\\"]}", RPC_JSON1,
          "[\"[[[[{{{{\\\"]\\\\\"]", NULL },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(rpc_req_done) struct rpc_req r = { 0 };
        AUTO(err_done) struct err err = { 0 };
        if (jsonrpc_parse(cases[i].text, strlen(cases[i].text), &r, &err) < 0)
            test_fail(__FILE__, __LINE__, "%s: %s", cases[i].text, err_text(&err));
        AUTO(free_str) char *params = dump(r.params), *id = r.id ? dump(r.id) : NULL;
        CHECK_INT(r.kind, cases[i].kind);
        CHECK_STR(r.method, "m");
        CHECK_STR(params, cases[i].params);
        CHECK(str_eq(id, cases[i].id));
    }
}

TEST(json_refused)
{
    static const char *const cases[] = {
        "",
        "x",
        "1",
        "\"m\"",
        "[]",
        "[{\"method\":\"m\"}]",
        "{}",
        "{\"method\":1}",
        "{\"method\":\"\"}",
        "{\"method\":\"m\"",
        "{\"method\":\"m\"}x",
        "{\"method\":\"m\"}{}",
        "{\"method\":\"m\",}",
        "{\"method\":\"m\",\"params\":{}}",
        "{\"method\":\"m\",\"params\":1}",
        "{\"method\":\"m\",\"params\":[9223372036854775808]}",
        "{\"method\":\"m\",\"params\":[-9223372036854775809]}",
        "{\"method\":\"m\",\"params\":[1e999]}",
        "{\"method\":\"m\",\"params\":[NaN]}",
        "{\"method\":\"m\",\"params\":[01]}",
        "{\"method\":\"m\",\"params\":[\"\\u0000\"]}",
        "{\"method\":\"m\",\"params\":[\"\\ud800\"]}",
        "{\"method\":\"m\",\"params\":[\"\xff\"]}",
        "{\"method\":\"m\",\"params\":[\"\x01\"]}",
        "{\"method\":\"m\",\"id\":{}}",
        "{\"method\":\"m\",\"id\":true}",
        "{\"method\":\"m\",\"jsonrpc\":2}",
        "{\"method\":\"m\",\"jsonrpc\":\"3.0\"}",
        "\xef\xbb\xbf{\"method\":\"m\"}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(rpc_req_done) struct rpc_req r = { 0 };
        AUTO(err_done) struct err err = { 0 };
        if (jsonrpc_parse(cases[i], strlen(cases[i]), &r, &err) == 0)
            test_fail(__FILE__, __LINE__, "accepted %s", cases[i]);
        CHECK_STR(err.code, RPC_MALFORMED);
    }
    AUTO(rpc_req_done) struct rpc_req r = { 0 };
    CHECK(jsonrpc_parse("{\"method\":\"m\"}\0", 15, &r, NULL) < 0);
}

TEST(json_depth)
{
    for (int n = 63; n <= 64; n++) {
        AUTO(free_str) char *deep = nested("[", "1", "]", n);
        AUTO(free_str) char *text = str_fmt("{\"method\":\"m\",\"params\":%s}", deep);
        AUTO(rpc_req_done) struct rpc_req r = { 0 };
        CHECK_INT(jsonrpc_parse(text, strlen(text), &r, NULL), n == 63 ? 0 : -1);
    }
}

TEST(json_responses)
{
    static const struct {
        const char *text, *want, *code;
        size_t n_params;
    } cases[] = {
        { "{\"jsonrpc\":\"2.0\",\"result\":[1],\"id\":1}", "[1]", NULL, 0 },
        { "{\"result\":null,\"error\":null,\"id\":1}", "null", NULL, 0 },
        { "{\"error\":{\"code\":1,\"message\":\"HANDLE_INVALID\",\"data\":[\"VM\",\"x\"]}}",
          NULL, "HANDLE_INVALID", 2 },
        { "{\"error\":{\"code\":1,\"message\":\"Not a code\"}}", NULL, RPC_MALFORMED, 0 },
        { "{\"error\":{}}", NULL, RPC_MALFORMED, 0 },
        { "{\"id\":1}", NULL, RPC_MALFORMED, 1 },
        { "[]", NULL, RPC_MALFORMED, 1 },
        { "<html>", NULL, RPC_MALFORMED, 1 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(err_done) struct err err = { 0 };
        AUTO(free_json)
        json_t *j = jsonrpc_parse_response(cases[i].text, strlen(cases[i].text), &err);
        AUTO(free_str) char *got = j ? dump(j) : NULL;
        CHECK(str_eq(got, cases[i].want));
        CHECK(str_eq(err.code, cases[i].code));
        CHECK_INT(err.n_params, cases[i].n_params);
    }
}

static char *answer(enum rpc_kind kind, bool bare, const json_t *id, const char *value)
{
    struct buf b = BUF_INIT(0);
    rpc_answer_begin(&b, kind, bare);
    buf_add_str(&b, value);
    rpc_answer_end(&b, kind, bare, id);
    return buf_take(&b);
}

TEST(answers)
{
    AUTO(free_json) json_t *id = json_integer(7);
    AUTO(free_str) char *xml = answer(RPC_XML, false, NULL, "<value>x</value>");
    AUTO(free_str)
    char *bare = answer(RPC_XML, true, NULL, "<value><array><data/></array></value>");
    AUTO(free_str) char *one = answer(RPC_JSON1, false, NULL, "\"x\"");
    AUTO(free_str) char *two = answer(RPC_JSON2, false, id, "{}");
    CHECK_STR(
        xml,
        "<?xml version=\"1.0\"?><methodResponse><params><param><value><struct><member>"
        "<name>Status</name><value>Success</value></member><member><name>Value</name>"
        "<value>x</value></member></struct></value></param></params></methodResponse>");
    CHECK_STR(bare,
              "<?xml version=\"1.0\"?><methodResponse><params><param><value><array><data/>"
              "</array></value></param></params></methodResponse>");
    CHECK_STR(one, "{\"result\":\"x\",\"error\":null,\"id\":null}");
    CHECK_STR(two, "{\"jsonrpc\":\"2.0\",\"result\":{},\"id\":7}");
    CHECK_STR(rpc_content_type(RPC_XML), "text/xml");
    CHECK_STR(rpc_content_type(RPC_JSON1), "application/json");
    CHECK_STR(rpc_content_type(RPC_JSON2), "application/json");
}

static char *error_answer(enum rpc_kind kind, const json_t *id, const char *extra)
{
    static const char *const params[] = { "VM", "a<&>\"\\\n\x01\xff\xc3\xa9" };
    struct buf b = BUF_INIT(0);
    rpc_answer_error(&b, kind, id, "HANDLE_INVALID", params, 2, extra);
    return buf_take(&b);
}

TEST(error_answers)
{
    AUTO(free_json) json_t *id = json_string("i\"d");
    AUTO(free_str) char *xml = error_answer(RPC_XML, NULL, NULL);
    AUTO(free_str) char *one = error_answer(RPC_JSON1, id, "\"explain\":1");
    AUTO(free_str) char *two = error_answer(RPC_JSON2, id, "\"explain\":{\"a\":1}");
    CHECK_STR(
        xml,
        "<?xml version=\"1.0\"?><methodResponse><params><param><value><struct><member>"
        "<name>Status</name><value>Failure</value></member><member><name>ErrorDescription"
        "</name><value><array><data><value>HANDLE_INVALID</value><value>VM</value><value>"
        "a&lt;&amp;&gt;\"\\\n\xef\xbf\xbd\xef\xbf\xbd\xc3\xa9</value></data></array></"
        "value>"
        "</member></struct></value></param></params></methodResponse>");
    CHECK_STR(
        one,
        "{\"result\":null,\"error\":[\"HANDLE_INVALID\",\"VM\",\"a<&>\\\"\\\\\\u000a\\u0001"
        "\xef\xbf\xbd\xc3\xa9\"],\"id\":\"i\\\"d\"}");
    CHECK_STR(two, "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":1,\"message\":\"HANDLE_"
                   "INVALID\",\"data\":"
                   "[\"VM\",\"a<&>\\\"\\\\\\u000a\\u0001\xef\xbf\xbd\xc3\xa9\"],"
                   "\"explain\":{\"a\":1}},"
                   "\"id\":\"i\\\"d\"}");
    AUTO(free_json) json_t *tree = xmlrpc_parse_response(xml, strlen(xml), NULL);
    CHECK_INT(json_array_size(json_object_get(tree, "ErrorDescription")), 3);
    json_t *back = json_loads(two, 0, NULL);
    CHECK(back != NULL);
    json_decref(back);
}

TEST(codes_are_interned)
{
    char text[] = "SOME_CODE_9";
    const char *code = rpc_code(text);
    CHECK_STR(code, "SOME_CODE_9");
    CHECK(code != text && code == rpc_code("SOME_CODE_9"));
    CHECK(!rpc_code(NULL) && !rpc_code("") && !rpc_code("lower") && !rpc_code("A B"));
}
