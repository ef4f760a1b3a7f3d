# Builds what is missing: the Kubernetes binaries and CoreDNS from Go modules, pause, and the project's own images.

KUBERNETES=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)

build_all() {
  build_kubernetes
  build_own_images
}

build_kubernetes() {
  [ -e "$BIN/complete" ] && return
  say "building Kubernetes $KUBERNETES_VERSION and CoreDNS $COREDNS_VERSION (once; minutes)"
  local version="${KUBERNETES_VERSION#v}" package=k8s.io/component-base/version new="$BIN.new"
  rm -rf "$new"
  mkdir -p "$new"
  # Without a version the API server calls itself v0.0.0 and refuses the kubelet.
  (
    cd "$here/kubernetes"
    CGO_ENABLED=0 nice -n 10 go build -p "$BUILD_JOBS" -buildvcs=false -trimpath -o "$new/" \
      -ldflags "-s -w -X $package.gitVersion=$KUBERNETES_VERSION -X $package.gitMajor=${version%%.*} -X $package.gitMinor=$(cut -d. -f2 <<<"$version")" \
      "${KUBERNETES[@]/#/k8s.io/kubernetes/cmd/}"
  )
  (cd "$here/coredns" && CGO_ENABLED=0 nice -n 10 go build -p "$BUILD_JOBS" -buildvcs=false -trimpath -ldflags '-s -w' -o "$new/coredns" .)
  cc -static -Os -s -o "$new/pause" "$here/pause.c"
  "$here/../../scripts/image" "$new/pause.tar" "$new/pause" localhost/pause:1
  "$here/../../scripts/image" "$new/coredns.tar" "$new/coredns" "localhost/coredns:$COREDNS_VERSION"
  touch "$new/complete"
  rm -rf "$BIN"
  mv "$new" "$BIN"
}

# Which of the project's images: all of them, or those that the environment names; words on purpose.
own_images() {
  case "$IMAGES" in
    build | none) "$here/../../scripts/images" --print ;;
    *) "$here/../../scripts/images" --print $IMAGES ;;
  esac
}

build_own_images() {
  case "$IMAGES" in
    none) ;;
    build) "$here/../../scripts/images" ;;
    *) "$here/../../scripts/images" $IMAGES ;;
  esac
}
