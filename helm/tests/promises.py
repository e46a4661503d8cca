"""What the chart promises, held against what it renders. Knows Helm's output, and nothing of a cluster.

Usage: promises.py HELM RENDERED... — the helm to ask, and what it rendered for each file in ci/.
"""

import itertools
import subprocess
import sys
from pathlib import Path

import yaml

CHART = Path(__file__).parent.parent / "doorward"
REFUSED = Path(__file__).parent / "refused"
MINIMAL = CHART / "ci" / "minimal-values.yaml"
POD_OF = {"Deployment": ["spec", "template"], "Job": ["spec", "template"], "Pod": []}
VOLUMES = {"configMap", "secret", "emptyDir", "projected"}
SECRETS_OF_MIGRATIONS = {"DOORWARD_DATABASE__URL"}
faults = []


def expect(holds, what):
    if not holds:
        faults.append(what)


def helm_template(*arguments, name="dw"):
    command = [sys.argv[1], "template", name, CHART, "--namespace", "acc", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def render(*sets, name="dw", values=MINIMAL):
    arguments = list(itertools.chain.from_iterable(("--set-json", one) for one in sets))
    done = helm_template("--values", values, *arguments, name=name)
    if done.returncode:
        sys.exit(f"helm template {' '.join(arguments)}: {done.stderr}")
    return documents(done.stdout)


def documents(text):
    return [one for one in yaml.safe_load_all(text) if one]


def kind(manifests, wanted):
    return [one for one in manifests if one["kind"] == wanted]


def dig(value, *path):
    for step in path:
        value = (value or {}).get(step)
    return value


def pod_template(manifest):
    path = POD_OF.get(manifest["kind"])
    return None if path is None else dig(manifest, *path)


def is_of(labels, selector):
    return all(labels.get(key) == value for key, value in selector.items())


def check_container(container, where):
    security = container.get("securityContext", {})
    where = f"{where}, container {container['name']}"
    expect(security.get("allowPrivilegeEscalation") is False, f"{where}: allowPrivilegeEscalation is not false")
    expect(security.get("readOnlyRootFilesystem") is True, f"{where}: readOnlyRootFilesystem is not true")
    expect(dig(security, "capabilities", "drop") == ["ALL"], f"{where}: capabilities are not all dropped")
    expect(not dig(security, "capabilities", "add"), f"{where}: a capability is added")
    expect(not security.get("privileged"), f"{where}: is privileged")
    expect(security.get("runAsUser") != 0, f"{where}: runs as root")
    expect(dig(container, "resources", "limits", "memory"), f"{where}: no limit of memory")
    expect(dig(container, "resources", "requests", "cpu"), f"{where}: no request of CPU")
    name = container["image"].rsplit("/", 1)[-1]
    expect("@sha256:" in name or ":" in name and not name.endswith(":latest"), f"{where}: any image would do")
    expect(not any(port.get("hostPort") for port in container.get("ports", [])), f"{where}: a port of the host")


def check_pod(manifest, where):
    spec = pod_template(manifest)["spec"]
    security = spec.get("securityContext", {})
    expect(security.get("runAsNonRoot") is True, f"{where}: runAsNonRoot is not true")
    expect(dig(security, "seccompProfile", "type") == "RuntimeDefault", f"{where}: seccomp is not RuntimeDefault")
    expect(spec.get("automountServiceAccountToken") is False, f"{where}: a token of the service account is mounted")
    expect(spec.get("enableServiceLinks") is False, f"{where}: service links are in the environment")
    for host in ("hostNetwork", "hostPID", "hostIPC", "hostUsers"):
        expect(not spec.get(host), f"{where}: {host}")
    for volume in spec.get("volumes", []):
        expect(set(volume) - {"name"} <= VOLUMES, f"{where}: the volume {volume['name']} is of another kind")
    for container in spec.get("initContainers", []) + spec["containers"]:
        check_container(container, where)
        if container["name"] == "migrate":
            secrets = {one["name"] for one in container["env"] if "valueFrom" in one}
            expect(secrets <= SECRETS_OF_MIGRATIONS, f"{where}: a migration is given {secrets}")


def check_hooks(manifest, where):
    annotations = dig(manifest, "metadata", "annotations") or {}
    hook = annotations.get("helm.sh/hook")
    expect(hook is None or hook == "test" and manifest["kind"] == "Pod", f"{where}: is a hook, {hook}")


def check_server(manifests, where):
    [deployment] = kind(manifests, "Deployment")
    template = pod_template(deployment)
    [server] = template["spec"]["containers"]
    toml = kind(manifests, "ConfigMap")[0]["data"]["doorward.toml"]
    settings = dict(line.split(" = ") for line in toml.splitlines() if " = " in line)
    grace = int(settings.get("grace_ms", 10000)) / 1000
    sleep = server["lifecycle"]["preStop"]["sleep"]["seconds"]
    given = template["spec"]["terminationGracePeriodSeconds"]
    expect(given > grace + sleep, f"{where}: {given} s to terminate, {sleep} s of sleep and {grace} s of grace")
    expect("127.0.0.1" not in toml, f"{where}: a listener that probes cannot reach")
    probes = [server[name]["httpGet"] for name in ("livenessProbe", "readinessProbe")]
    expect(probes == [{"path": path, "port": "admin"} for path in ("/livez", "/readyz")], f"{where}: probes {probes}")

    labels = template["metadata"]["labels"]
    others = [pod_template(one)["metadata"]["labels"] for one in kind(manifests, "Job") + kind(manifests, "Pod")]
    selectors = [one["spec"]["selector"] for one in kind(manifests, "Service")]
    disruption = kind(manifests, "PodDisruptionBudget") + [deployment]
    selectors += [one["spec"]["selector"]["matchLabels"] for one in disruption]
    spread = template["spec"]["topologySpreadConstraints"]
    selectors += [one["labelSelector"]["matchLabels"] for one in spread]
    for selector in selectors:
        expect(is_of(labels, selector), f"{where}: {selector} does not select what serves")
        expect(not any(is_of(other, selector) for other in others), f"{where}: {selector} selects what does not serve")


def check_network(manifests, where):
    services = {one["metadata"]["name"]: one for one in kind(manifests, "Service")}
    for name, service in services.items():
        ports = {port["name"] for port in service["spec"]["ports"]}
        inside = service["spec"].get("clusterIP") == "None"
        expect("admin" not in ports or inside, f"{where}: the service {name} offers the admin port")
    policies = kind(manifests, "NetworkPolicy")
    expect(policies, f"{where}: no NetworkPolicy")
    for rule in (rule for policy in policies for rule in policy["spec"]["ingress"]):
        ports = {port["port"] for port in rule["ports"]}
        expect(ports == {50051} or ports == {9090} and rule.get("from"), f"{where}: everybody reaches {ports}")
    monitors = kind(manifests, "ServiceMonitor")
    for selector in (one["spec"]["selector"]["matchLabels"] for one in monitors):
        scraped = [name for name, one in services.items() if is_of(one["metadata"]["labels"], selector)]
        expect(len(scraped) == 1 and scraped[0].endswith("-headless"), f"{where}: {scraped} would be scraped")


def check_names(manifests, where):
    names = [(one["kind"], one["metadata"]["name"]) for one in manifests]
    expect(len(names) == len(set(names)), f"{where}: a name twice in {names}")
    for one in manifests:
        name = one["metadata"]["name"]
        expect(len(name) <= 63, f"{where}: {name} has {len(name)} characters")
        expect(dig(one, "metadata", "namespace") == "acc", f"{where}: {name} is not in the release's namespace")


def check_all(manifests, source):
    for manifest in manifests:
        where = f"{source}: {manifest['kind']} {manifest['metadata']['name']}"
        expect(manifest["kind"] != "Secret", f"{where}: the chart makes no Secret")
        check_hooks(manifest, where)
        if manifest["kind"] == "ServiceAccount":
            expect(manifest.get("automountServiceAccountToken") is False, f"{where}: gives its token away")
        if pod_template(manifest):
            check_pod(manifest, where)
    check_server(manifests, source)
    check_network(manifests, source)
    check_names(manifests, source)


def checksum(*sets):
    [deployment] = kind(render(*sets), "Deployment")
    return pod_template(deployment)["metadata"]["annotations"]["checksum/config"]


def check_restarts():
    before = checksum()
    for change in ('config={"log":{"level":"debug"}}', 'catalogue="x = 1"', 'tls={"existingSecret":"a"}'):
        expect(checksum(change) != before, f"{change}: the checksum of the settings is what it was")
    expect(checksum("replicaCount=5") == before, "replicaCount: the checksum of the settings is another")


def check_migrations():
    job = 'migrations={"mode":"job"}'
    for mode, jobs, inits in (("initContainer", 0, ["migrate"]), ("job", 1, []), ("none", 0, [])):
        manifests = render(f'migrations={{"mode":"{mode}"}}')
        [deployment] = kind(manifests, "Deployment")
        found = [one["name"] for one in pod_template(deployment)["spec"].get("initContainers", [])]
        expect(found == inits, f"migrations.mode {mode}: init containers {found}")
        expect(len(kind(manifests, "Job")) == jobs, f"migrations.mode {mode}: not {jobs} jobs")
    names = [kind(render(job, image), "Job")[0]["metadata"]["name"] for image in ('image={"tag":"1"}', 'image={"tag":"2"}')]
    expect(names[0] != names[1], "a Job of another image has the same name, and cannot be changed")


def check_image():
    digest = "sha256:" + "0" * 64
    [deployment] = kind(render(f'image={{"tag":"1","digest":"{digest}"}}'), "Deployment")
    images = {one["image"] for one in pod_template(deployment)["spec"]["initContainers"]}
    expect(images == {f"doorward@{digest}"}, f"a digest goes before a tag: {images}")


def check_long_names():
    manifests = render('migrations={"mode":"job"}', 'tls={"certManager":{"enabled":true,"issuerRef":{"name":"a"}}}', name="a" * 53)
    check_all(manifests, "a long release name")


def paths(values, before=""):
    for name, value in values.items():
        yield before + name
        if isinstance(value, dict):
            yield from paths(value, f"{before}{name}.")


def check_readme():
    """Every value has a place in the table, by itself or by what it is in; and what has a place is a value."""
    rows = [line.split("|")[1] for line in (CHART / "README.md").read_text().splitlines() if line.startswith("| `")]
    told = {name for cell in rows for name in cell.split("`")[1::2]}
    there = set(paths(yaml.safe_load((CHART / "values.yaml").read_text())))
    missing = [path for path in there if not any(path == one or path.startswith(f"{one}.") or one.startswith(f"{path}.") for one in told)]
    expect(not missing, f"README.md: nothing about {sorted(missing)}")
    expect(told <= there, f"README.md: there are no values {sorted(told - there)}")


def check_refusals():
    files = sorted(REFUSED.glob("*.yaml"))
    expect(files, "no file of values to refuse")
    for file in files:
        wanted = file.read_text().splitlines()[0].removeprefix("# refused: ")
        done = helm_template("--values", MINIMAL, "--values", file)
        expect(done.returncode, f"{file.name}: is not refused")
        expect(wanted in done.stderr, f"{file.name}: refused without `{wanted}`: {done.stderr.strip()}")


def main():
    for path in map(Path, sys.argv[2:]):
        check_all(documents(path.read_text()), path.name)
    check_restarts()
    check_migrations()
    check_image()
    check_long_names()
    check_refusals()
    check_readme()
    if faults:
        sys.exit("\n".join(dict.fromkeys(faults)))
    print(f"promises.py: {len(sys.argv) - 2} sets of values keep them, {len(list(REFUSED.glob('*.yaml')))} are refused")


if __name__ == "__main__":
    main()
