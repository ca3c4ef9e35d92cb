#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run by init's busybox: first without arguments to ask for an address, then by udhcpc with what it learned.
PATH=/bin
# shellcheck disable=SC2154  # udhcpc sets ip, mask, router and dns
case $1 in
'')
    busybox ip link set lo up
    busybox ip link set eth0 up || exit
    exec busybox udhcpc -q -n -t 20 -T 1 -A 1 -i eth0 -s /net.sh >/dev/null 2>&1
    ;;
bound | renew)
    busybox ip addr replace "$ip/${mask:-24}" dev eth0
    for r in $router; do busybox ip route replace default via "$r"; done
    for d in $dns; do echo "nameserver $d"; done >/etc/resolv.conf
    echo "NET $ip" >/dev/ttyS0
    ;;
esac
