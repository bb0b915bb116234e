"""Some minutes in the life of the webhook, for the picture of its dashboard: everything real but the people."""

import base64
import http.client
import json
import os
import pathlib
import random
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import draw

ROOT = pathlib.Path(__file__).parents[2]
ASSETS = pathlib.Path(os.environ["KUBEBUILDER_ASSETS"])
PROGRAM = ROOT / "target/release/session-webhook"
NAMESPACE = "hobbyfarm-system"
HOBBYFARM = f"system:serviceaccount:{NAMESPACE}:hobbyfarm-session"
OWN = "system:serviceaccount:hobbyfarm-session-webhook:session-webhook"
# name, uid, groups: the tokens of a static token file are the names
USERS = {
    "admin": ("admin", "", "system:masters"),
    "hobbyfarm": (HOBBYFARM, "u-1", "system:serviceaccounts"),
    "own": (OWN, "u-2", "system:serviceaccounts"),
    "alice": ("alice", "", "developers"),
    "proxy": (HOBBYFARM, "", ""),
}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Stage:
    """The processes, and the folder that they work in."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.processes = {}
        self.over = threading.Event()

    def start(self, name, *command, **environment):
        log = open(self.folder / f"{name}.log", "a")
        self.processes[name] = subprocess.Popen(
            [str(part) for part in command], stdout=log, stderr=log, cwd=self.folder, env={**os.environ, **environment}
        )

    def stop(self, name):
        self.processes[name].terminate()
        self.processes.pop(name).wait(60)

    def end(self):
        self.over.set()
        for name in reversed(list(self.processes)):
            self.stop(name)
        shutil.rmtree(self.folder)


def openssl(folder, *arguments):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def certificate(folder, name, days):
    """A self-signed certificate for localhost, in a folder of its own as a Secret would be mounted."""
    (folder / name).mkdir()
    openssl(
        folder / name, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "tls.key",
        "-out", "tls.crt", "-days", str(days), "-subj", "/CN=session-webhook", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
    )


class Api:
    """The API server, for one user. One connection for each thread."""

    def __init__(self, port, user):
        self.port, self.user, self.local = port, user, threading.local()

    def send(self, method, path, body=None, content="application/json"):
        if not hasattr(self.local, "connection"):
            context = ssl._create_unverified_context()
            self.local.connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=20)
        headers = {"Authorization": f"Bearer {self.user}", "Content-Type": content}
        try:
            self.local.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = self.local.connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        except (OSError, http.client.HTTPException, ValueError):
            self.local.connection.close()
            del self.local.connection
            return 0, None


def api_server(stage):
    folder, etcd, peer, port = stage.folder, free_port(), free_port(), free_port()
    stage.start(
        "etcd", ASSETS / "etcd", f"--data-dir={folder}/etcd", f"--listen-client-urls=http://127.0.0.1:{etcd}",
        f"--advertise-client-urls=http://127.0.0.1:{etcd}", f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}", f"--initial-cluster=default=http://127.0.0.1:{peer}",
    )
    openssl(folder, "genrsa", "-out", "accounts.key", "2048")
    lines = [f'{token},"{name}",{uid},"{groups}"' for token, (name, uid, groups) in USERS.items()]
    (folder / "tokens.csv").write_text("\n".join(lines) + "\n")
    stage.start(
        "kube-apiserver", ASSETS / "kube-apiserver", f"--etcd-servers=http://127.0.0.1:{etcd}", "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none", f"--secure-port={port}", f"--cert-dir={folder}/certs",
        f"--token-auth-file={folder}/tokens.csv", "--authorization-mode=AlwaysAllow", "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-signing-key-file={folder}/accounts.key",
        f"--service-account-key-file={folder}/accounts.key", "--disable-admission-plugins=ServiceAccount",
    )
    admin = Api(port, "admin")
    wait("the API server is ready", lambda: admin.send("GET", "/api/v1/namespaces/default")[0] == 200)
    return port


def wait(what, holds, seconds=90):
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"never: {what}")
        time.sleep(0.3)


def kubeconfig(stage, port, user, namespace):
    file = stage.folder / f"{user}.kubeconfig"
    file.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{port}", "certificate-authority": f"{stage.folder}/certs/apiserver.crt"}}],
        "users": [{"name": "u", "user": {"token": user}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": namespace}}],
    }))
    return file


def balancer(stage, ports):
    """What a Service does: each new connection goes to the next replica that takes it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    turn = [0]

    def copy(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def serve():
        while not stage.over.is_set():
            client, _ = listener.accept()
            for _ in ports:
                turn[0] += 1
                try:
                    server = socket.create_connection(("127.0.0.1", ports[turn[0] % len(ports)]), timeout=1)
                    server.settimeout(None)
                except OSError:
                    continue
                threading.Thread(target=copy, args=(client, server), daemon=True).start()
                threading.Thread(target=copy, args=(server, client), daemon=True).start()
                break
            else:
                client.close()

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def replica(stage, index, ports, api):
    stage.start(
        f"replica-{index}", PROGRAM, "serve", f"--listen=127.0.0.1:{ports[0]}", f"--ops-listen=127.0.0.1:{ports[1]}",
        f"--tls-cert={stage.folder}/served/tls.crt", f"--tls-key={stage.folder}/served/tls.key", "--tls-poll=2s",
        "--service-account=hobbyfarm-system/hobbyfarm-session", "--own-service-account=hobbyfarm-session-webhook/session-webhook",
        "--backfill", "--backfill-after=5s", "--audit-interval=20s", "--connection-age=40s", "--drain-delay=3s", "--max-requests-in-flight=8",
        KUBECONFIG=str(kubeconfig(stage, api, "own", "hobbyfarm-session-webhook")),
    )


def configurations(admin, port, bundle):
    for kind, path, policy in (("Mutating", "mutate", "Ignore"), ("Validating", "validate", "Fail")):
        webhook = {
            "name": f"{path}.session-webhook.hobbyfarm.io", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"url": f"https://127.0.0.1:{port}/{path}", "caBundle": bundle}, "failurePolicy": policy, "timeoutSeconds": 3,
            "rules": [{"apiGroups": ["hobbyfarm.io"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"], "resources": ["sessions", "sessions/status"]}],
        }
        plural = f"/apis/admissionregistration.k8s.io/v1/{kind.lower()}webhookconfigurations"
        body = {"apiVersion": "admissionregistration.k8s.io/v1", "kind": f"{kind}WebhookConfiguration", "metadata": {"name": "w"}, "webhooks": [webhook]}
        code, answer = admin.send("POST", plural, body)
        assert code == 201, answer


SESSIONS = f"/apis/hobbyfarm.io/v1/namespaces/{NAMESPACE}/sessions"
LAYOUT = "%a %b %e %H:%M:%S UTC %Y"


def lesson(stage, api, alive):
    """One user's run, as HobbyFarm's session service writes it: at most `alive` keep-alives, then finish and delete."""
    name = f"s-{random.randrange(1 << 40):x}"
    session = {
        "apiVersion": "hobbyfarm.io/v1", "kind": "Session", "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"user": f"u-{random.randrange(99)}", "scenario": "sc-1", "vm_claim": ["vmc-1"], "keep_course_vm": False},
    }
    code, stored = api.send("POST", SESSIONS, session)
    if code != 201:
        return
    # Some users go away before their first keep-alive, and HobbyFarm never writes a status: the backfill's part.
    if random.random() < 0.05:
        return
    start = time.gmtime()
    status = {"paused": False, "active": True, "finished": False, "paused_time": "", "start_time": time.strftime(LAYOUT, start), "end_time": ""}
    for _ in range(alive):
        if stage.over.wait(random.uniform(0.2, 1.5)):
            return
        if stored:
            stored["status"] = {**status, "end_time": time.strftime(LAYOUT, time.gmtime(time.time() + 300))}
        code, answer = api.send("PUT", f"{SESSIONS}/{name}/status", stored)
        stored = answer if code == 200 else api.send("GET", f"{SESSIONS}/{name}")[1]
    if random.random() < 0.02 and stored:
        # a course with a malformed duration
        api.send("PUT", f"{SESSIONS}/{name}/status", {**stored, "status": {**status, "end_time": "in 5x"}})
    if random.random() < 0.1 and stored:
        moved = {**status, "start_time": time.strftime(LAYOUT), "end_time": time.strftime(LAYOUT, time.gmtime(time.time() + 300))}
        api.send("PUT", f"{SESSIONS}/{name}/status", {**stored, "status": moved})
    api.send("DELETE", f"{SESSIONS}/{name}")


def classroom(stage, api, seats):
    """Lessons one after the other, on as many seats as there are at the time."""
    def sit(seat):
        while not stage.over.is_set():
            if seat < seats():
                lesson(stage, api, random.randrange(3, 12))
            else:
                stage.over.wait(1)

    for seat in range(40):
        threading.Thread(target=sit, args=(seat,), daemon=True).start()


def people(stage, port, busy):
    """alice edits by hand, and a proxy passes HobbyFarm's name on without its uid."""
    def go():
        alice, proxy = Api(port, "alice"), Api(port, "proxy")
        while not stage.over.wait(0.7 if busy() else random.uniform(4, 12)):
            code, listed = alice.send("GET", SESSIONS + "?limit=20")
            names = [item["metadata"]["name"] for item in (listed or {}).get("items", [])]
            if not names:
                continue
            path, patch = f"{SESSIONS}/{random.choice(names)}", "application/merge-patch+json"
            doing = random.random()
            if doing < 0.5:
                alice.send("PATCH", path, {"metadata": {"annotations": {"note": str(time.time())}}}, patch)
            elif doing < 0.7:
                alice.send("PATCH", path + "/status", {"status": {"end_time": ""}}, patch)
            elif doing < 0.8:
                proxy.send("PATCH", path, {"metadata": {"labels": {"by": "proxy"}}}, patch)
            elif doing < 0.9:
                alice.send("PATCH", path, {"metadata": {"resourceVersion": None}}, patch)
            else:
                alice.send("POST", SESSIONS, {"apiVersion": "hobbyfarm.io/v1", "kind": "Session", "metadata": {"generateName": "mine-"}, "spec": {}})

    threading.Thread(target=go, daemon=True).start()


def prometheus(stage, ops):
    port = free_port()
    targets = [{"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": "hobbyfarm-session-webhook", "pod": f"session-webhook-{index}"}} for index, port in enumerate(ops)]
    (stage.folder / "prometheus.yaml").write_text(json.dumps({
        "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
        "scrape_configs": [{"job_name": "session-webhook", "static_configs": targets}],
    }))
    stage.start(
        "prometheus", "prometheus", f"--config.file={stage.folder}/prometheus.yaml", f"--storage.tsdb.path={stage.folder}/tsdb", f"--web.listen-address=127.0.0.1:{port}"
    )
    return f"http://127.0.0.1:{port}"


def serve_pair(stage, crt, key):
    """Puts a pair where the replicas look."""
    for source, name in ((crt, "tls.crt"), (key, "tls.key")):
        shutil.copy(source, stage.folder / "served/new")
        os.replace(stage.folder / "served/new", stage.folder / "served" / name)


def play(stage, minutes, picture):
    folder = stage.folder
    (folder / "served").mkdir()
    for name in ("one", "two"):
        certificate(folder, name, 90)
    bundle = base64.b64encode((folder / "one/tls.crt").read_bytes() + (folder / "two/tls.crt").read_bytes()).decode()
    serve_pair(stage, folder / "one/tls.crt", folder / "one/tls.key")

    api = api_server(stage)
    config = kubeconfig(stage, api, "admin", "default")
    for file in ("gargantua.yaml", "surroundings.yaml"):
        subprocess.run(["kubectl", f"--kubeconfig={config}", "apply", "-f", ROOT / "tests/crds" / file], check=True, capture_output=True)
    admin = Api(api, "admin")
    for namespace in (NAMESPACE, "hobbyfarm-session-webhook"):
        admin.send("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
    wait("Sessions are served", lambda: admin.send("GET", SESSIONS)[0] == 200)

    replicas = [(free_port(), free_port()) for _ in range(2)]
    for index, ports in enumerate(replicas):
        replica(stage, index, ports, api)
    configurations(admin, balancer(stage, [ports[0] for ports in replicas]), bundle)
    url = prometheus(stage, [ports[1] for ports in replicas])

    began = time.monotonic()
    gone = lambda: (time.monotonic() - began) / (60 * minutes)  # noqa: E731
    # A course begins, fills, empties.
    classroom(stage, Api(api, "hobbyfarm"), lambda: 6 + 34 * max(0, 1 - abs(gone() - 0.5) * 3))
    people(stage, api, lambda: 0.55 < gone() < 0.7)
    for at, act in (
        (0.30, lambda: serve_pair(stage, folder / "two/tls.crt", folder / "one/tls.key")),  # half written
        (0.38, lambda: serve_pair(stage, folder / "two/tls.crt", folder / "two/tls.key")),
        (0.75, lambda: stage.stop("replica-0")),
        (0.80, lambda: replica(stage, 0, replicas[0], api)),
        (0.86, lambda: strangers(replicas[1][0])),
        (0.92, lambda: strangers(replicas[1][0])),
        (1.00, lambda: None),
    ):
        stage.over.wait(max(0, (at - gone()) * 60 * minutes))
        act()
        print(f"{at:.0%}", flush=True)
    draw.draw(url, minutes, picture)


def strangers(port):
    """Somebody who is no API server looks at the port."""
    context = ssl._create_unverified_context()
    for path, body in (("/", ""), ("/validate", "{"), ("/validate", "[]"), ("/mutate", "nothing")) * 10:
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        connection.getresponse().read()
        connection.close()


if __name__ == "__main__":
    stage = Stage()
    try:
        play(stage, float(sys.argv[1]), sys.argv[2])
    finally:
        stage.end()
