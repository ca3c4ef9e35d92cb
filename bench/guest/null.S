/* SPDX-License-Identifier: Apache-2.0 */
/* The smallest guest: QEMU enters it by PVH, its first instructions write "N\n" to the first serial port, then it
 * sleeps for good. From the start of a machine to that byte is what a start costs without any guest's own work.
 *
 * PVH enters in 32-bit protected mode with flat segments (xen/include/public/arch-x86/hvm/start_info.h); the note names
 * the entry point (type 18, XEN_ELFNOTE_PHYS32_ENTRY). The UART is as firmware or reset left it: QEMU's sends at once. */
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 4, 18
    .asciz "Xen"
    .long start

    .text
    .code32
    .globl start
start:
    mov $0x3f8, %dx
    mov $'N', %al
    out %al, %dx
    mov $'\n', %al
    out %al, %dx
    cli
1:  hlt
    jmp 1b

    .section .note.GNU-stack, "", @progbits
