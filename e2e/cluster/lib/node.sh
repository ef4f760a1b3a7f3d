# The node: containerd, kubelet and kube-proxy in process and mount namespaces of their own. What they start and mount
# ends with the namespaces' first process.

# Restored by clean_up: kubelet and kube-proxy set them for the whole machine.
SYSCTLS=(
  net/ipv4/ip_forward net/ipv4/conf/all/route_localnet
  vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes
)

prepare_state() {
  mkdir -p "$STATE"/{run,log,pki,etcd,kubelet,pod-logs,cni/conf,certs.d/_default}
  chmod 700 "$STATE"
  make_secrets
  write_containerd_config
  write_cni_config
  write_kubelet_config
}

prepare_machine() {
  local name
  if iptables -w 10 -t nat -S KUBE-SERVICES >/dev/null 2>&1; then
    echo "this machine is a node of a cluster already: name that one with TURQUOISE_E2E_KUBECONFIG" >&2
    return 1
  fi
  for name in "${SYSCTLS[@]}"; do
    [ -e "/proc/sys/$name" ] && echo "$name $(cat "/proc/sys/$name")"
  done >"$STATE/sysctls"
  echo 1 >/proc/sys/net/ipv4/ip_forward
  ip link add "$BRIDGE" type bridge
  ip address add "$NODE_ADDRESS/32" dev "$BRIDGE"
  ip link set "$BRIDGE" up
  # A packet to an address whose pod is gone must not leave the machine; the routes of pods that live are longer.
  ip route replace blackhole "$POD_CIDR"
  # Nor to a Service that is gone. kube-proxy's rules come after the route is looked up, so it must be one that goes on.
  # Over the bridge a Service without endpoints would refuse at once, as elsewhere; but there a rare new connection, about
  # one in ten thousand and right when kube-proxy wrote its rules, ended in `no route to host`. Here it is sent again.
  ip route replace "$SERVICE_CIDR" dev lo src "$NODE_ADDRESS"
}

# These folders are the machine's own: the node gets empty ones in their place.
NODE_INIT='
for folder in /run /var/log /var/lib/cni; do
  mkdir -p "$folder" && mount -t tmpfs tmpfs "$folder"
done
mount --bind "$0/kubelet" "$0/kubelet" && mount --make-shared "$0/kubelet"
touch "$0/run/node.ready"
# The shell reaps what is left to the first process.
while :; do sleep 3600 & wait; done
'

start_node() {
  setsid -- unshare --fork --pid --mount --mount-proc --kill-child --propagation private \
    bash -c "$NODE_INIT" "$STATE" >>"$STATE/log/node.log" 2>&1 </dev/null 9>&- &
  local parent=$!
  await 10 "the node's namespaces" test -e "$STATE/run/node.ready"
  note node "$(child_of "$parent")"
  start containerd
  await "$READY_S" "containerd answers" containerd_ctr version
  import_images "$BIN/pause.tar" "$BIN/coredns.tar"
}

containerd_ctr() { ctr --address "$STATE/containerd.sock" --namespace k8s.io "$@"; }

import_images() {
  local file
  for file in "$@"; do containerd_ctr images import "$file" >/dev/null; done
}

# One at a time: loading is some megabytes of unpacking.
load_tarballs() {
  need_root
  import_images "$@"
  say "loaded $(basename --multiple "$@" | tr '\n' ' ')"
}

# Whether a packet on its way to or from the API server is let through: `wire cut` and `wire mend`. A cut network says
# nothing to either side.
wire() {
  local rule
  for rule in "INPUT -d $NODE_ADDRESS/32 -p tcp --dport $API_PORT" "OUTPUT -s $NODE_ADDRESS/32 -p tcp --sport $API_PORT"; do
    if [ "$1" = cut ]; then
      iptables -w 10 -I $rule -j DROP
    else
      iptables -w 10 -D $rule -j DROP 2>/dev/null || true
    fi
  done
}

# Ends a pod's containers as a crash does: `kill_pod NAMESPACE POD`.
kill_pod() {
  local id
  for id in $("$BIN/kubectl" --kubeconfig "$KUBECONFIG_FILE" --namespace "$1" get pod "$2" \
    -o jsonpath='{.status.containerStatuses[*].containerID}'); do
    containerd_ctr tasks kill --signal SIGKILL "${id#containerd://}"
  done
}

load_images() {
  local file files=()
  while read -r file; do [ -e "$file" ] && files+=("$file"); done < <(own_images)
  [ "${#files[@]}" -eq 0 ] || load_tarballs "${files[@]}"
}

start_containerd() { in_node containerd containerd --config "$STATE/containerd.toml"; }

start_kubelet() {
  in_node kubelet "$BIN/kubelet" --config="$STATE/kubelet.yaml" --kubeconfig="$STATE/kubelet.kubeconfig" \
    --root-dir="$STATE/kubelet" --hostname-override="$NODE" --node-ip="$NODE_ADDRESS"
}

start_kube_proxy() {
  # NodePorts answer on 127.0.0.1 and nowhere else.
  in_node kube-proxy "$BIN/kube-proxy" --kubeconfig="$STATE/proxy.kubeconfig" --hostname-override="$NODE" \
    --proxy-mode=iptables --cluster-cidr="$POD_CIDR" --nodeport-addresses=127.0.0.0/8 --conntrack-max-per-core=0 \
    --healthz-bind-address=127.0.0.1:10256 --metrics-bind-address=127.0.0.1:10249
}

start() {
  pid_of "$1" >/dev/null && return
  "start_${1//-/_}"
}

cni_bin() {
  local folder
  for folder in /usr/lib/cni /opt/cni/bin /usr/libexec/cni; do
    if [ -x "$folder/ptp" ]; then echo "$folder"; return; fi
  done
  echo "no CNI plugins found (containernetworking-plugins)" >&2
  return 1
}

write_containerd_config() {
  # restrict_oom_score_adj: in a container without CAP_SYS_RESOURCE runc fails otherwise.
  cat >"$STATE/containerd.toml" <<TOML
version = 2
root = "$STATE/containerd"
state = "$STATE/containerd-state"
[grpc]
  address = "$STATE/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$STATE/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$(cni_bin)"
    conf_dir = "$STATE/cni/conf"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$STATE/certs.d"
TOML
  # An image that was not loaded can't be pulled: every registry is a closed port of this machine, so that no test asks a
  # real one and each fails at once.
  cat >"$STATE/certs.d/_default/hosts.toml" <<TOML
server = "http://127.0.0.1:1"
TOML
}

write_cni_config() {
  # ptp needs no bridge netfilter. No masquerading: pods reach each other, Services and the node, and nothing beyond.
  cat >"$STATE/cni/conf/10-pods.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": false, "ipam": {
  "type": "host-local", "ranges": [[{"subnet": "$POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "$STATE/cni/addresses"
}}]}
JSON
}

write_kubelet_config() {
  : >"$STATE/resolv.conf"
  # No control groups for classes of pods: they need more of the machine than tests have, and no limit is tested.
  cat >"$STATE/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $NODE_ADDRESS
healthzBindAddress: 127.0.0.1
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: false}
  x509: {clientCAFile: $STATE/kubelet-client.crt}
authorization: {mode: AlwaysAllow}
clusterDNS: [$DNS_ADDRESS]
clusterDomain: cluster.local
resolvConf: $STATE/resolv.conf
containerRuntimeEndpoint: unix://$STATE/containerd.sock
podLogsDir: $STATE/pod-logs
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 1Mi, nodefs.available: 0%, imagefs.available: 0%, nodefs.inodesFree: 0%}
YAML
}
