# etcd and the API server's side: processes of the machine itself, all of them on loopback addresses.

token() { # a component's token, made once a start
  awk -F, -v name="$1" '$2 == name { print $1 }' "$STATE/tokens.csv"
}

make_secrets() {
  local name group
  : >"$STATE/tokens.csv"
  for name in admin controller-manager scheduler proxy "system:node:$NODE"; do
    group=system:masters
    [ "$name" = "system:node:$NODE" ] && group=system:nodes
    echo "$(od -An -N20 -tx1 /dev/urandom | tr -d ' \n'),$name,$name,$group" >>"$STATE/tokens.csv"
  done
  openssl genrsa -out "$STATE/service-account.key" 2048 2>/dev/null
  # With this the API server shows the kubelet who it is: logs, exec, port-forward.
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj '/O=system:masters/CN=kube-apiserver' \
    -keyout "$STATE/kubelet-client.key" -out "$STATE/kubelet-client.crt" 2>/dev/null
}

write_kubeconfig() { # FILE USER
  cat >"$1" <<YAML
apiVersion: v1
kind: Config
clusters:
  - name: turquoise
    cluster:
      server: $API
      certificate-authority-data: $(base64 -w0 "$STATE/pki/apiserver.crt")
users:
  - name: $2
    user: {token: $(token "$2")}
contexts:
  - name: turquoise
    context: {cluster: turquoise, user: $2}
current-context: turquoise
YAML
}

kubectl() { "$BIN/kubectl" --kubeconfig "$STATE/kubeconfig.starting" "$@"; }

start_control_plane() {
  start etcd
  start kube-apiserver
  await "$READY_S" "the API server makes its certificate" test -s "$STATE/pki/apiserver.crt"
  write_kubeconfig "$STATE/kubeconfig.starting" admin
  for name in controller-manager scheduler proxy; do write_kubeconfig "$STATE/$name.kubeconfig" "$name"; done
  write_kubeconfig "$STATE/kubelet.kubeconfig" "system:node:$NODE"
  await "$READY_S" "the API server is ready" kubectl get --raw /readyz
}

start_etcd() {
  # What etcd holds need not outlive a power cut, and a flush for each write makes a busy disk the slowest part.
  on_host etcd etcd --name=default --data-dir="$STATE/etcd" --unsafe-no-fsync \
    --listen-client-urls="http://127.0.0.1:$ETCD_PORT" --advertise-client-urls="http://127.0.0.1:$ETCD_PORT" \
    --listen-peer-urls="http://127.0.0.1:$((ETCD_PORT + 1))" \
    --initial-advertise-peer-urls="http://127.0.0.1:$((ETCD_PORT + 1))" \
    --initial-cluster="default=http://127.0.0.1:$((ETCD_PORT + 1))"
}

start_kube_apiserver() {
  on_host kube-apiserver "$BIN/kube-apiserver" --etcd-servers="http://127.0.0.1:$ETCD_PORT" --cert-dir="$STATE/pki" \
    --bind-address="$NODE_ADDRESS" --advertise-address="$NODE_ADDRESS" --secure-port="$API_PORT" \
    --service-cluster-ip-range="$SERVICE_CIDR" --token-auth-file="$STATE/tokens.csv" --authorization-mode=Node,RBAC \
    --enable-admission-plugins=NodeRestriction --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$STATE/service-account.key" --service-account-signing-key-file="$STATE/service-account.key" \
    --kubelet-client-certificate="$STATE/kubelet-client.crt" --kubelet-client-key="$STATE/kubelet-client.key" \
    --kubelet-preferred-address-types=InternalIP --profiling=false \
    --audit-policy-file="$here/manifests/audit.yaml" --audit-log-path="$STATE/log/audit.log"
}

start_kube_controller_manager() {
  on_host kube-controller-manager "$BIN/kube-controller-manager" --kubeconfig="$STATE/controller-manager.kubeconfig" \
    --bind-address=127.0.0.1 --leader-elect=false --service-account-private-key-file="$STATE/service-account.key" \
    --root-ca-file="$STATE/pki/apiserver.crt" --profiling=false
}

start_kube_scheduler() {
  on_host kube-scheduler "$BIN/kube-scheduler" --kubeconfig="$STATE/scheduler.kubeconfig" --bind-address=127.0.0.1 \
    --leader-elect=false --profiling=false
}

apply_addons() {
  sed -e "s|COREDNS_VERSION|$COREDNS_VERSION|; s|DNS_ADDRESS|$DNS_ADDRESS|" "$here/manifests/coredns.yaml" |
    kubectl apply --server-side -f - >/dev/null
}

wait_ready() {
  await "$READY_S" "the node is registered" kubectl get node "$NODE"
  kubectl wait --for=condition=Ready "node/$NODE" --timeout="${READY_S}s" >/dev/null
  await "$READY_S" "the default service account" kubectl get serviceaccount default
  kubectl --namespace kube-system rollout status deployment/coredns --timeout="${READY_S}s" >/dev/null
  # Whoever finds this file finds a cluster that is ready.
  mv "$STATE/kubeconfig.starting" "$KUBECONFIG_FILE"
}

is_up() {
  local name
  [ -e "$KUBECONFIG_FILE" ] || return 1
  for name in "${COMPONENTS[@]}"; do pid_of "$name" >/dev/null || return 1; done
  "$BIN/kubectl" --kubeconfig "$KUBECONFIG_FILE" --request-timeout=5s get --raw /readyz >/dev/null 2>&1
}

use_named() {
  local kubectl="$BIN/kubectl"
  [ -x "$kubectl" ] || kubectl="$(command -v kubectl)"
  if ! "$kubectl" --kubeconfig "$1" --request-timeout=10s get --raw /readyz >/dev/null; then
    echo "the cluster of $1 does not answer" >&2
    exit 3
  fi
  build_own_images
  say "using the cluster of $1; its nodes must hold the images of"
  own_images
}
