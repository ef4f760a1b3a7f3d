# Ends what was started here, and takes its traces off the machine: after `down`, and before `up` when something was left.

clean_up() {
  local name
  # The kubelet first: it would start again what ends.
  for name in kubelet kube-proxy node containerd kube-scheduler kube-controller-manager kube-apiserver etcd; do end "$name"; done
  [ -d "$STATE" ] || return 0
  wire mend
  drop_iptables
  drop_addresses
  restore_sysctls
  drop_cgroups
  unmount_left
  rm -rf --one-file-system "$STATE"
}

# Takes out what kube-proxy put in: rules that lead into its chains, what is in them, and the chains. One write a table.
drop_iptables() {
  local family table
  for family in iptables ip6tables; do
    for table in filter nat mangle; do
      "$family-save" -t "$table" 2>/dev/null | awk '
        /^:KUBE-/ { name = substr($1, 2); chains[++count] = name }
        /^-A / && $2 !~ /^KUBE-/ && / -j KUBE-/ { sub(/^-A/, "-D"); rules[++lead] = $0 }
        /^\*/ { table = $0 }
        END {
          if (!count) exit
          print table
          for (i = 1; i <= lead; i++) print rules[i]
          for (i = 1; i <= count; i++) print ":" chains[i] " - [0:0]"
          for (i = 1; i <= count; i++) print "-X " chains[i]
          print "COMMIT"
        }' | "$family-restore" --wait=10 --noflush
    done
  done
}

drop_addresses() {
  ip link del "$BRIDGE" 2>/dev/null || true # its address goes with it
  ip route del "$SERVICE_CIDR" dev lo 2>/dev/null || true
  ip route del blackhole "$POD_CIDR" 2>/dev/null || true
}

restore_sysctls() {
  local name value
  [ -e "$STATE/sysctls" ] || return 0
  while read -r name value; do echo "$value" >"/proc/sys/$name" || true; done <"$STATE/sysctls"
}

# Only empty ones go: another containerd of this machine keeps its own.
drop_cgroups() {
  find /sys/fs/cgroup -depth -type d -path "*/$CGROUP*" -exec rmdir {} + 2>/dev/null || true
}

# All mounts were in the node's namespace; what a start that was cut off put elsewhere goes here.
unmount_left() {
  local mount
  awk -v state="$STATE/" 'index($5, state) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
    while read -r mount; do umount --lazy "$mount"; done
}
