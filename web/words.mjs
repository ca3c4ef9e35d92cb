// SPDX-License-Identifier: Apache-2.0
// A rule for ESLint: words that people read stand in src/strings.ts, nowhere else, so that there is one table to translate.
const SHOWN = new Set(['label', 'title', 'hint', 'placeholder', 'aria-label', 'alt', 'verb', 'head']);
const NOT_SHOWN = new Set(['class', 'type', 'role', 'href', 'id', 'icon', 'name', 'kind', 'rel', 'autocomplete', 'pattern', 'src', 'style']);
/** What looks like words but is for the machine: selectors and fonts, names of the API, HTTP's and the keyboard's words. */
const MACHINE = /^(?:(?:input|\.[a-z]|main|[a-z]+\[|\(prefers-|curl -k|[A-Za-z_]+\.[a-z_]+$).*|\d+px .*|translateY\(.*|(?:Arrow)?(?:Up|Down|Left|Right)|Home|End|Enter|Escape|Delete|Content-.*|Upload-.*|AbortError|Async\..*|OpaqueRef.*|Running|Halted|Paused|Suspended|Disk|CD|Floppy|Enabled|Maintenance|Unreachable|(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|Serai|noopener,.*|bytes .*)$/s;
const words = (s) => !MACHINE.test(s.trim()) && (/^[A-Z][a-z’']+(?:$|[ ,.:…(])/.test(s.trim()) || /\p{L}{2}[,.:;’”]* [\p{L}“(]/u.test(s));

function nameOf(node) {
  if (node.type === 'JSXAttribute') return String(node.name.name);
  if (node.type === 'Property' && !node.computed) return node.key.name ?? node.key.value;
  return undefined;
}

/** May this text be read by people, where it stands? */
function shown(node, text) {
  if (!/\p{L}{2}/u.test(text)) return false;
  for (let child = node, p = node.parent; p; child = p, p = p.parent) {
    if (p.type.startsWith('TS') || p.type === 'ImportDeclaration' || p.type === 'ImportExpression') return false;
    if (p.type === 'BinaryExpression' && /^[=!]==$/.test(p.operator)) return false;
    if ((p.type === 'MemberExpression' && child === node) || (p.type === 'Property' && p.key === child)) return false;
    const name = nameOf(p);
    if (name !== undefined) return SHOWN.has(name) ? !/^[a-z_]+(?:-[a-z]+)+$/.test(text) && (p.type === 'JSXAttribute' || !/^[a-z_]+$/.test(text)) : !NOT_SHOWN.has(name) && words(text);
    if (p.type === 'ArrowFunctionExpression' || p.type === 'VariableDeclarator') break;
  }
  return words(text);
}

export default {
  rules: {
    table: {
      meta: { type: 'problem', schema: [], messages: { move: 'Words that people read stand in src/strings.ts: "{{text}}"' } },
      create(context) {
        const look = (node, text) => { if (shown(node, text)) context.report({ node, messageId: 'move', data: { text: text.trim().slice(0, 60) } }); };
        return {
          JSXText(node) {
            const text = node.value.trim();
            if (MACHINE.test(text)) return;
            if (/\p{L}{2}/u.test(text) && node.parent.openingElement?.name.name !== 'code') context.report({ node, messageId: 'move', data: { text } });
          },
          Literal(node) { if (typeof node.value === 'string') look(node, node.value); },
          TemplateLiteral(node) { look(node, node.quasis.map((q) => q.value.cooked).join('x ')); },
        };
      },
    },
  },
};
