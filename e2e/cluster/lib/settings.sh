# What the environment may change, and what follows from it. README.md lists the variables.

version_in() { # FOLDER MODULE
  awk -v module="$2" '$1 == "require" { sub(/^require /, "") } $1 == module && $2 != "=>" { print $2; exit }' "$here/$1/go.mod"
}

KUBERNETES_VERSION="$(version_in kubernetes k8s.io/kubernetes)"
COREDNS_VERSION="$(version_in coredns github.com/coredns/coredns)"

# Built binaries, by version.
CACHE="${TURQUOISE_CLUSTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/turquoise}"
BIN="$CACHE/kubernetes-$KUBERNETES_VERSION-coredns-$COREDNS_VERSION"
# Everything that a running cluster writes. Short, because it holds unix sockets; not in /run, which may be noexec.
STATE="${TURQUOISE_CLUSTER_STATE:-/var/lib/turquoise-cluster}"
KUBECONFIG_FILE="$STATE/kubeconfig"

# The first two bytes of every address: pods, Services and the node are all in NET.0.0/16.
NET="${TURQUOISE_CLUSTER_NET:-10.97}"
POD_CIDR="$NET.0.0/24"
SERVICE_CIDR="$NET.128.0/20"
DNS_ADDRESS="$NET.128.10"
# On a bridge without ports, so that pods reach the API server and nobody outside the machine does.
NODE_ADDRESS="$NET.255.1"
BRIDGE=turquoise0
NODE=node1
# Where containerd puts pods' control groups when the kubelet names no parent.
CGROUP=k8s.io

API_PORT="${TURQUOISE_CLUSTER_API_PORT:-6443}"
ETCD_PORT="${TURQUOISE_CLUSTER_ETCD_PORT:-23790}"
API="https://$NODE_ADDRESS:$API_PORT"

# How long each part may take until it answers: a machine that compiles at the same time is slow.
READY_S="${TURQUOISE_CLUSTER_READY_S:-120}"
# Go's build of Kubernetes fills every core otherwise.
BUILD_JOBS="${TURQUOISE_CLUSTER_BUILD_JOBS:-$(nproc)}"

# The project's images: `build` for all, `none` for those that are there, or names.
IMAGES="${TURQUOISE_CLUSTER_IMAGES:-build}"

COMPONENTS=(etcd kube-apiserver kube-controller-manager kube-scheduler containerd kubelet kube-proxy)

say() { echo "cluster: $*"; }

# The kubeconfig of a cluster that somebody else runs, if the environment names one.
named_cluster() {
  local file="${TURQUOISE_E2E_KUBECONFIG:-${KUBECONFIG:-}}"
  if [ -n "$file" ] && [ "$file" != "$KUBECONFIG_FILE" ]; then echo "$file"; fi
}

# Why this machine can't run a cluster; nothing where it can.
why_not() {
  if [ "$(uname -s)" != Linux ]; then
    echo "it is not Linux"
  elif [ "$(id -u)" != 0 ]; then
    echo "it needs root"
  elif ! command -v go >/dev/null 2>&1 && [ ! -e "$BIN/complete" ]; then
    echo "Kubernetes is built once, and there is no Go"
  elif ! unshare --fork --pid --mount --mount-proc --net true 2>/dev/null; then
    echo "root may not make namespaces here"
  elif [ ! -w /proc/sys/net/ipv4/ip_forward ]; then
    echo "kernel settings can't be written here"
  fi
}

need_root() {
  if [ "$(id -u)" != 0 ]; then
    echo "a cluster on this machine needs root: containers, a network, iptables" >&2
    echo "without root name one that is there: TURQUOISE_E2E_KUBECONFIG=FILE" >&2
    exit 2
  fi
}
