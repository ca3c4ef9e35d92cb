// SPDX-License-Identifier: Apache-2.0
// Consoles of a machine: its screen by noVNC and its serial line as a terminal, over the WebSocket of /console. Both are
// opened again when they end, as long as the machine runs: a reboot does not close them.
import RFB from '@novnc/novnc';
import { FitAddon } from '@xterm/addon-fit';
import { Terminal } from '@xterm/xterm';
import '@xterm/xterm/css/xterm.css';
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Button, stateName } from './ui';
import { say } from './strings';

const AGAIN_MS = 1000;

function consoleUrl(uuid: string): string {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/console?uuid=${encodeURIComponent(uuid)}`;
}

type Status = 'connecting' | 'connected' | 'closed';

function useAgain(open: (el: HTMLElement, ended: () => void, live: () => void) => () => void, key: string): { box: { current: HTMLDivElement | null }; status: Status } {
  const box = useRef<HTMLDivElement>(null);
  const [status, setStatus] = useState<Status>('connecting');
  useEffect(() => {
    let over = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let close: (() => void) | undefined;
    const begin = (): void => {
      if (over || !box.current) return;
      setStatus('connecting');
      close = open(box.current, () => {
        if (over) return;
        setStatus('closed');
        clearTimeout(timer);
        timer = setTimeout(() => { close?.(); begin(); }, AGAIN_MS);
      }, () => { if (!over) setStatus('connected'); });
    };
    begin();
    return () => { over = true; clearTimeout(timer); close?.(); };
  }, [key]);
  return { box, status };
}

export function Screen({ uuid, name, alone }: { uuid: string; name: string; alone?: string }): JSX.Element {
  const rfb = useRef<RFB | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  const [scale, setScale] = useState(true);
  const [clip, setClip] = useState('');
  const scaled = useRef(scale);
  scaled.current = scale;
  const { box, status } = useAgain((el, ended, live) => {
    el.replaceChildren();
    const one = new RFB(el, consoleUrl(uuid), { shared: true });
    one.scaleViewport = scaled.current;
    one.background = '#000';
    one.showDotCursor = true;
    one.addEventListener('connect', live);
    one.addEventListener('disconnect', ended);
    one.addEventListener('clipboard', (e) => { setClip((e as CustomEvent<{ text: string }>).detail.text); });
    rfb.current = one;
    return () => { rfb.current = null; try { one.disconnect(); } catch { /* it has ended */ } };
  }, uuid);
  useEffect(() => { if (rfb.current) rfb.current.scaleViewport = scale; }, [scale]);
  return (
    <div class="console" ref={frame}>
      <div class="toolbar">
        <span class={`dot ${status}`} role="status">{stateName(status)}</span>
        <Button onClick={() => { rfb.current?.sendCtrlAltDel(); rfb.current?.focus(); }}>{say.ctrlAltDel}</Button>
        <Button onClick={() => { setScale(!scale); }}>{scale ? say.actualSize : say.fit}</Button>
        <Button onClick={() => void frame.current?.requestFullscreen()}>{say.fullScreen}</Button>
        {alone && <Button onClick={() => { open(alone, '_blank', 'noopener,width=1060,height=860'); }}>{say.ownWindow}</Button>}
        <label class="clip"><span>{say.clipboard}</span><input value={clip} spellcheck={false} onInput={(e) => { setClip(e.currentTarget.value); rfb.current?.clipboardPasteFrom(e.currentTarget.value); }} /></label>
      </div>
      <div class="screen" ref={box} aria-label={say.screenOf(name)} data-status={status} />
    </div>
  );
}

export function Serial({ uuid, name }: { uuid: string; name: string }): JSX.Element {
  const { box, status } = useAgain((el, ended, live) => {
    const term = new Terminal({ fontSize: 13, scrollback: 5000, cursorBlink: true, theme: { background: '#0b0f14' } });
    const fit = new FitAddon();
    term.loadAddon(fit);
    el.replaceChildren();
    term.open(el);
    fit.fit();
    const watch = new ResizeObserver(() => { fit.fit(); });
    watch.observe(el);
    const socket = new WebSocket(consoleUrl(uuid), 'binary');
    socket.binaryType = 'arraybuffer';
    socket.onopen = live;
    socket.onmessage = (e) => { term.write(new Uint8Array(e.data as ArrayBuffer)); };
    socket.onclose = ended;
    const out = new TextEncoder();
    term.onData((text) => { if (socket.readyState === WebSocket.OPEN) socket.send(out.encode(text)); });
    return () => { watch.disconnect(); socket.onclose = null; socket.close(); term.dispose(); };
  }, uuid);
  return (
    <div class="console">
      <div class="toolbar"><span class={`dot ${status}`} role="status">{stateName(status)}</span></div>
      <div class="serial" ref={box} aria-label={say.serialConsoleOf(name)} data-status={status} />
    </div>
  );
}
