#!/bin/busybox sh
# Process 1 of the machine that second-kernel.ts boots. The root file system is the host's, read-only over 9p,
# under an overlay that forgets; every file of /tests runs there, and its TAP goes out through the port "tap".
# /settings gives project, modules, nonce, file_timeout and the environment.

/bin/busybox --install -s /bin
export PATH=/bin
for module in $(cat /modules/order); do insmod "/modules/$module"; done
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev

mkdir /lower /upper /host
mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000 host /lower
mount -t tmpfs tmpfs /upper
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /host

. /settings
mount -t proc proc /host/proc
mount -t sysfs sysfs /host/sys
mount -t cgroup2 cgroup2 /host/sys/fs/cgroup
mount -t devtmpfs devtmpfs /host/dev
mkdir -p /host/dev/pts /host/dev/shm
mount -t devpts devpts /host/dev/pts
mount -t tmpfs tmpfs /host/dev/shm
ln -s /proc/self/fd /host/dev/fd
for number in 0:stdin 1:stdout 2:stderr; do ln -s "fd/${number%:*}" "/host/dev/${number#*:}"; done
for folder in run var/lib; do mount -t tmpfs -o mode=755 tmpfs "/host/$folder"; done
mkdir -p /host/var/lib/dpkg /host/lib/modules
mount --bind /lower/var/lib/dpkg /host/var/lib/dpkg
mount --bind "/lower$modules" /host/lib/modules

# The kernel asks for modules from here, where its own root is: "ip link add type dummy" finds dummy.
mkdir -p /sbin
printf '#!/bin/sh\nexec chroot /host /sbin/modprobe "$@"\n' > /sbin/modprobe
chmod 755 /sbin/modprobe
ip link set lo up

for port in /sys/class/virtio-ports/*; do
  [ "$(cat "$port/name")" = tap ] && exec 3> "/dev/${port##*/}"
done

run_test() { # path: the bundle, as the host and this machine know it
  chroot /host /usr/bin/env -i PATH="$path" HOME=/root \
    WEFT_SECOND_KERNEL=1 TAP=1 TAP_TIMEOUT="$file_timeout" \
    sh -c 'cd "$1" && exec timeout -k 5 "$2" "$3" --enable-source-maps "$4"' sh \
    "$project" "$file_timeout" "$node" "$1" < /dev/null >&3 2> /dev/console
}

number=0
for test in $tests; do
  echo "$nonce begin $number" >&3
  run_test "$test"
  echo "$nonce end $number $?" >&3
  number=$((number + 1))
done
exec 3>&-
poweroff -f
