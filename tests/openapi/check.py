"""Runs cards through a proxy that holds every request and answer against Okta's API description."""

import http.client
import http.server
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from urllib.parse import parse_qsl, urlsplit

import yaml
from openapi_schema_validator import OAS30Validator

BINARY = os.environ.get("OKTA_CONNECTOR_BIN", "target/debug/okta-connector")
GRPCURL = os.environ.get("GRPCURL", "grpcurl")


class Description:
    """Okta's API description."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.document = yaml.load(file, Loader=yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader)

    def resolve(self, node):
        while isinstance(node, dict) and "$ref" in node:
            target = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def operation(self, method, path):
        """The path template, its operation and all of its parameters; the template with the fewest places wins."""
        found = []
        for template, item in self.document["paths"].items():
            pattern = re.sub(r"\{[^}]+\}", "[^/]+", template)
            if re.fullmatch(pattern, path) and method.lower() in item:
                found.append((template.count("{"), template, item))
        if not found:
            return None
        _, template, item = min(found, key=lambda entry: entry[0])
        operation = item[method.lower()]
        parameters = [self.resolve(one) for one in item.get("parameters", []) + operation.get("parameters", [])]
        return template, operation, parameters

    def errors(self, schema, value, writing):
        validator = OAS30Validator({**schema, "components": self.document["components"]})
        wrong = []
        for error in validator.iter_errors(value):
            # The description marks as required what only the other direction has.
            if error.validator == "required" and writing:
                continue
            # It also has alternatives that overlap: what is valid under several of them is valid.
            if error.validator == "oneOf" and "is valid under each of" in error.message:
                continue
            # Okta's own examples have null where the description allows none.
            if error.instance is None and error.validator in ("type", "nullable") and not writing:
                continue
            wrong.append(f"{'.'.join(map(str, error.absolute_path)) or 'body'}: {error.message[:200]}")
        return wrong


class Proxy(http.server.BaseHTTPRequestHandler):
    """Passes everything on to the sandbox, and checks it."""

    protocol_version = "HTTP/1.1"
    description = None
    upstream = None
    findings = []
    checked = []

    def log_message(self, *_):
        pass

    def forward(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        connection = http.client.HTTPConnection(self.upstream)
        connection.request(self.command, self.path, body or None, dict(self.headers))
        answer = connection.getresponse()
        payload = answer.read()
        self.check(body, answer.status, payload)
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        if answer.status != 204:
            self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PUT = do_DELETE = forward

    def check(self, body, status, payload):
        url = urlsplit(self.path)
        call = f"{self.command} {url.path}"
        found = self.description.operation(self.command, url.path)
        if found is None:
            self.findings.append(f"{call}: the description has no such operation")
            return
        template, operation, parameters = found
        call = f"{self.command} {template}"
        self.checked.append(call)
        known = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
        for name, _ in parse_qsl(url.query, keep_blank_values=True):
            if name not in known:
                self.findings.append(f"{call}: the description has no query parameter {name}")
        if body:
            content = self.description.resolve(operation.get("requestBody", {})).get("content", {})
            schema = content.get("application/json", {}).get("schema")
            if schema is None:
                self.findings.append(f"{call}: the description has no body")
            else:
                for error in self.description.errors(schema, json.loads(body), writing=True):
                    self.findings.append(f"{call}: request: {error}")
        responses = operation["responses"]
        response = responses.get(str(status)) or responses.get(status)
        if response is None:
            self.findings.append(f"{call}: the description has no answer {status}")
            return
        schema = self.description.resolve(response).get("content", {}).get("application/json", {}).get("schema")
        if schema is not None and payload:
            for error in self.description.errors(schema, json.loads(payload), writing=False):
                self.findings.append(f"{call}: answer {status}: {error}")


def start(*arguments, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OKTA_")}
    process = subprocess.Popen([BINARY, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               env={**environment, **variables}, text=True)
    return process, json.loads(process.stdout.readline())


def main(path):
    Proxy.description = Description(path)
    processes = []
    try:
        sandbox, ready = start("sandbox", "--addr", "127.0.0.1:0")
        processes.append(sandbox)
        Proxy.upstream = ready["sandbox"]
        proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        with tempfile.TemporaryDirectory() as directory:
            server, at = start("serve", "--data-dir", directory, "--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0",
                               "--admin-addr", "127.0.0.1:0", OKTA_DOMAIN=f"http://127.0.0.1:{proxy.server_port}",
                               OKTA_API_TOKEN=ready["api_token"])
            processes.append(server)
            cards = run_cards(at["grpc"])
            server.terminate()
            server.wait(20)
    finally:
        for process in processes:
            process.terminate()
    operations = sorted(set(Proxy.checked))
    print("\n".join(f"checked  {operation}" for operation in operations))
    findings = sorted(set(Proxy.findings))
    print("\n".join(f"WRONG    {finding}" for finding in findings))
    print(f"openapi: {cards} cards, {len(operations)} operations, {len(Proxy.checked)} exchanges, {len(findings)} findings")
    sys.exit(1 if findings else 0)


def run_cards(address):
    count = 0

    def call(method, **request):
        nonlocal count
        count += 1
        command = [GRPCURL, "-plaintext", "-d", json.dumps(request), address, f"oktaconnector.v1.{method}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{method} failed: {done.stderr}")
        return json.loads(done.stdout or "{}")

    profile = {"firstName": "Isaac", "lastName": "Brock", "email": "isaac@test.example", "login": "isaac@test.example"}
    credentials = {"password": "Test-1234", "recoveryQuestion": "Who?", "recoveryAnswer": "Annie Oakley"}
    user = call("UserService/CreateUser", profile=profile, credentials=credentials)["user"]["id"]
    call("UserService/ReadUser", idOrLogin=user)
    call("UserService/UpdateUser", idOrLogin=user, profile={"nickName": "Ike"})
    call("UserService/UpdateUser", idOrLogin=user, semantics="UPDATE_SEMANTICS_STRICT", profile=profile)
    call("UserService/SearchUsers", query="isa")
    call("UserService/ListUsersWithFilter", status="USER_STATUS_ACTIVE", pageSize=5)
    call("UserService/ListUsersWithSearch", profile={"lastName": "Brock"}, sortBy="profile.lastName", sortOrder="SORT_ORDER_ASC")
    call("UserService/GetUserSchema")
    group = call("GroupService/SearchGroups", query="Engineering")["groups"][0]["id"]
    call("GroupService/ReadGroup", groupId=group)
    call("GroupService/AddUserToGroup", groupId=group, userId=user)
    call("GroupService/ListGroupMembers", groupId=group, pageSize=3)
    call("UserService/GetUserGroups", idOrLogin=user)
    call("GroupService/RemoveUserFromGroup", groupId=group, userId=user)
    app = call("ApplicationService/ListApplications", query="Legacy")["applications"][0]["id"]
    call("ApplicationService/AssignUserToAppForSsoAndProvisioning", appId=app, userId=user, credentials={"userName": "isaac"},
         profile={"givenName": "Isaac"})
    call("ApplicationService/GetAssignedUserForApp", appId=app, userId=user)
    call("ApplicationService/UpdateAppCredentialsForAssignedUser", appId=app, userId=user, credentials={"password": "App-1234"})
    call("ApplicationService/UpdateAppProfileForAssignedUser", appId=app, userId=user, profile={"nickname": "Ike"})
    call("ApplicationService/ListUsersAssignedToApp", appId=app)
    call("ApplicationService/RemoveUserFromApp", appId=app, userId=user)
    call("ApplicationService/AssignUserToAppForSso", appId=app, userId=user)
    call("ApplicationService/GetAppUserSchema", appId=app)
    call("UserService/ClearUserSessions", userId=user, revokeOauthTokens=True)
    call("EventHookService/RegisterEventHook")
    call("UserService/DeactivateUser", idOrLogin=user)
    call("UserService/DeleteUser", userId=user)
    return count


main(sys.argv[1])
