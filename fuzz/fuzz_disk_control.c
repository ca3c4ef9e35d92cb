/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/mem.h"
#include "diskd/control.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct control_message m;
    char *text = mem_alloc(size + 1);

    if (size)
        memcpy(text, data, size);
    if (control_parse(text, size, &m)) {
        REQUIRE(m.verb && *m.verb && !strchr(m.verb, '\n') && m.n <= CONTROL_PAIRS_MAX);
        for (size_t i = 0; i < m.n; i++) {
            REQUIRE(*m.pair[i].key && !strchr(m.pair[i].key, '='));
            REQUIRE(!strchr(m.pair[i].value, '\n'));
            REQUIRE(m.pair[i].key > text && m.pair[i].value <= text + size);
        }
    }
    free(text);
    return 0;
}
