# SPDX-License-Identifier: Apache-2.0
"""A disk that a PC's firmware boots: it clears the screen, says a line and shows each key that is pressed."""


def program(text):
    head = bytes.fromhex("0e1ffcb80300cd10")  # push cs; pop ds; cld; mode 3, which clears
    loop = bytes.fromhex("ac84c07409b40ebb0700cd10ebf2")  # each character by the firmware's teletype
    keys = bytes.fromhex("31c0cd16b40ebb0700cd10ebf3")  # wait for a key, show it, again
    find = bytes.fromhex("e800005e83c6") + bytes([3 + 1 + len(loop) + len(keys)])  # call; pop si; add si, to the text
    return head + find + loop + keys + text.encode() + b"\0"


def image(text, size=2 << 20):
    return (program(text).ljust(510, b"\0") + b"\x55\xaa").ljust(size, b"\0")
