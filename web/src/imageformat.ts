// SPDX-License-Identifier: Apache-2.0
// What an image of a disk is, by its bytes. Pure.

export type ImageFormat = 'xva' | 'raw' | 'vhd' | 'qcow2' | 'vmdk' | 'vhdx' | 'iso';

export const FORMATS: [ImageFormat, string][] = [['raw', 'raw'], ['vhd', 'VHD'], ['qcow2', 'qcow2'], ['vmdk', 'VMDK'], ['vhdx', 'VHDX'], ['iso', 'ISO'], ['xva', 'XVA']];

const text = (b: Uint8Array, at: number, n: number): string => String.fromCharCode(...b.slice(at, at + n));

/** By the first and last 512 bytes, and the name where bytes say nothing. machines: may it be an archive of machines? */
export function formatOf(name: string, head: Uint8Array, tail: Uint8Array, machines: boolean): ImageFormat {
  if (text(head, 0, 4) === 'QFI\u00fb') return 'qcow2';
  if (text(head, 0, 4) === 'KDMV' || text(head, 0, 21) === '# Disk DescriptorFile') return 'vmdk';
  if (text(head, 0, 8) === 'vhdxfile') return 'vhdx';
  if (text(head, 0, 8) === 'conectix' || text(tail, 0, 8) === 'conectix') return 'vhd';
  if (machines && (text(head, 257, 5) === 'ustar' || /\.xva(?:\.(?:gz|zst))?$/i.test(name))) return 'xva';
  return /\.iso$/i.test(name) ? 'iso' : 'raw';
}
