"""Judges a sandbox org with Okta's own Python SDK, unmodified.

Takes the SDK's own variables: OKTA_CLIENT_ORGURL, OKTA_CLIENT_TOKEN and, as the sandbox speaks plain HTTP,
OKTA_TESTING_TESTINGDISABLEHTTPSCHECK=true. Two more are ours: JUDGE_SKIP, steps to leave out (names, separated by spaces),
and JUDGE_KEEP_GOING=1, which goes on after a step that failed, to see them all.
"""

import asyncio
import http.server
import json
import os
import queue
import threading
import time
import traceback
import urllib.request
import uuid

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwcrypto.jwk import JWK
from okta.client import Client
from okta.models import (
    CreateUserRequest,
    EventHook,
    EventHookChannel,
    EventHookChannelConfig,
    EventHookChannelConfigAuthScheme,
    EventSubscriptions,
    PasswordCredential,
    UpdateUserRequest,
    UserCredentialsWritable,
    UserProfile,
)
from okta.pagination import PaginationHelper

EVENT_TYPES = [
    "user.lifecycle.create",
    "group.user_membership.add",
    "group.user_membership.remove",
    "user.lifecycle.deactivate",
]
HOOK_SECRET = "the judge's secret"


class Refused(Exception):
    """An error that the SDK returned."""


def check(condition, wanted, got):
    if not condition:
        raise AssertionError(f"wanted {wanted}, got {got!r}")


def equal(what, wanted, got):
    check(wanted == got, f"{what} to be {wanted!r}", got)


async def answer(call):
    """(data, response) of a call that has to succeed. The SDK answers (data, response, error), without data where there is
    no model, and takes any empty answer for a success, so that the status counts too."""
    *data, response, error = await call
    if error is not None:
        raise Refused(str(error))
    status = getattr(response, "status_code", None) or response.status
    check(200 <= status <= 299, "a success", f"an empty answer with status {status}")
    return (data[0] if data else None), response


async def refusal(call):
    """The error of a call that has to be refused."""
    *_, error = await call
    check(error is not None, "a refusal", "none")
    return error


async def pages(method, *args, **kwargs):
    """All pages of a list, by the Link headers, as the SDK reads them."""
    found, after = [], None
    for _ in range(100):
        data, response = await answer(method(*args, after=after, **kwargs))
        found.append(data)
        after = PaginationHelper.extract_next_cursor(response.headers)
        if after is None:
            return found
    raise AssertionError("the list does not end: 100 pages, and still a next link")


async def eventually(call, good, wanted):
    """Asks again for a while, as Okta's index lags behind writes."""
    deadline = time.monotonic() + 15
    while True:
        got = await call()
        if good(got):
            return got
        check(time.monotonic() < deadline, wanted, got)
        await asyncio.sleep(0.25)


def logins(users):
    return [user.profile.login for user in users]


class Receiver:
    """Where the event hook delivers to."""

    def __init__(self):
        deliveries = self.deliveries = queue.Queue()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                challenge = self.headers.get("x-okta-verification-challenge")
                self.reply(200, json.dumps({"verification": challenge}).encode())

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                deliveries.put((self.headers.get("authorization"), json.loads(body)))
                self.reply(200, b"")

            def reply(self, status, body):
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/okta"
        threading.Thread(target=server.serve_forever, daemon=True).start()


class Judge:
    def __init__(self, client):
        self.okta = client
        self.tag = uuid.uuid4().hex[:10]
        self.login = f"grace.{self.tag}@judge.example"
        self.last_name = f"Judged{self.tag}"
        self.receiver = Receiver()
        self.hook = self.id = self.other = self.group = None

    def profile(self, first_name, login):
        return UserProfile(first_name=first_name, last_name=self.last_name, email=login, login=login)

    async def register_event_hook(self):
        scheme = EventHookChannelConfigAuthScheme(type="HEADER", key="Authorization", value=HOOK_SECRET)
        config = EventHookChannelConfig(uri=self.receiver.url, auth_scheme=scheme, headers=[])
        hook = EventHook(
            name=f"judge {self.tag}",
            events=EventSubscriptions(type="EVENT_TYPE", items=EVENT_TYPES),
            channel=EventHookChannel(type="HTTP", version="1.0.0", config=config),
        )
        made, _ = await answer(self.okta.create_event_hook(hook))
        equal("verificationStatus of a new hook", "UNVERIFIED", made.verification_status)
        equal("the secret in the answer", None, made.channel.config.auth_scheme.value)
        verified, _ = await answer(self.okta.verify_event_hook(made.id))
        equal("verificationStatus after verifying", "VERIFIED", verified.verification_status)
        equal("status", "ACTIVE", verified.status)
        equal("subscribed types", sorted(EVENT_TYPES), sorted(verified.events.items))
        listed, _ = await answer(self.okta.list_event_hooks())
        check(made.id in [hook.id for hook in listed], "the hook in the list", listed)
        self.hook = made.id

    async def create_user(self):
        credentials = UserCredentialsWritable(password=PasswordCredential(value="Tr0ub4dor&3-judge"))
        body = CreateUserRequest(profile=self.profile("Grace", self.login), credentials=credentials)
        user, _ = await answer(self.okta.create_user(body, activate=True))
        self.id = user.id
        equal("status of an active user with a password", "ACTIVE", user.status)
        equal("login", self.login, user.profile.login)
        for name in ["created", "activated", "status_changed", "last_updated", "password_changed"]:
            check(getattr(user, name) is not None, f"a time in {name}", None)
        equal("last_login of one who never was", None, user.last_login)
        equal("provider", "OKTA", user.credentials.provider.type)
        check(user.credentials.password is not None, "an empty object in credentials.password", None)
        equal("the password in the answer", None, user.credentials.password.value)
        check(user.type is not None and user.type.id, "an id of the user's type", user.type)
        check(user.links is not None and user.links.var_self, "a link to itself", user.links)

    async def create_staged_user(self):
        body = CreateUserRequest(profile=self.profile("Alan", f"alan.{self.tag}@judge.example"))
        user, _ = await answer(self.okta.create_user(body, activate=False))
        equal("status of a user not activated", "STAGED", user.status)
        equal("activated of a staged user", None, user.activated)
        self.other = user.id

    async def refuse_taken_login(self):
        error = await refusal(self.okta.create_user(CreateUserRequest(profile=self.profile("Grace", self.login))))
        equal("status", 400, error.status)
        equal("error code", "E0000001", error.error_code)
        causes = [cause["errorSummary"] for cause in error.error_causes]
        check(any(cause.startswith("login: ") for cause in causes), "a cause on `login`", causes)

    async def read_user_by_id(self):
        user, response = await answer(self.okta.get_user(self.id))
        equal("login", self.login, user.profile.login)
        headers = {name.lower() for name in response.headers}
        wanted = {"x-okta-request-id", "x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"}
        equal("headers missing from the answer", set(), wanted - headers)

    async def read_user_by_login(self):
        user, _ = await answer(self.okta.get_user(self.login))
        equal("id", self.id, user.id)

    async def refuse_unknown_user(self):
        error = await refusal(self.okta.get_user(f"nobody.{self.tag}@judge.example"))
        equal("status", 404, error.status)
        equal("error code", "E0000007", error.error_code)

    async def find_with_q(self):
        async def find():
            return logins((await answer(self.okta.list_users(q=self.login[:-4].upper(), limit=5)))[0])

        await eventually(find, lambda got: got == [self.login], f"[{self.login}] with q")

    async def find_with_search(self):
        expression = f'profile.lastName eq "{self.last_name}" and profile.firstName sw "gr"'

        async def find():
            return logins((await answer(self.okta.list_users(search=expression)))[0])

        await eventually(find, lambda got: got == [self.login], f"[{self.login}] with search")

    async def page_through_search(self):
        expression = f'profile.lastName eq "{self.last_name}"'
        order = {"sort_by": "profile.firstName", "sort_order": "desc"}

        async def find():
            found = await pages(self.okta.list_users, search=expression, limit=1, **order)
            check(all(len(page) <= 1 for page in found), "pages of one user at most", found)
            return [user.id for page in found for user in page]

        await eventually(find, lambda got: got == [self.id, self.other], "Grace, then Alan, page by page")

    async def find_with_filter(self):
        expression = f'profile.login eq "{self.login}" and status eq "ACTIVE"'

        async def find():
            return logins((await answer(self.okta.list_users(filter=expression)))[0])

        await eventually(find, lambda got: got == [self.login], f"[{self.login}] with filter")

    async def refuse_bad_search(self):
        error = await refusal(self.okta.list_users(search='profile.login ne "x"'))
        equal("status", 400, error.status)
        equal("error code", "E0000031", error.error_code)

    async def update_user(self):
        profile = UserProfile(department="Compilers", nick_name="Amazing")
        user, _ = await answer(self.okta.update_user(self.id, UpdateUserRequest(profile=profile)))
        equal("department", "Compilers", user.profile.department)
        equal("what was not given", ["Grace", self.login], [user.profile.first_name, user.profile.login])
        read, _ = await answer(self.okta.get_user(self.id))
        equal("nickName, read again", "Amazing", read.profile.nick_name)
        check(read.last_updated >= read.created, "lastUpdated not before created", read.last_updated)

    async def replace_user(self):
        profile = self.profile("Grace", self.login)
        profile.department = "Languages"
        user, _ = await answer(self.okta.replace_user(self.id, UpdateUserRequest(profile=profile)))
        equal("department", "Languages", user.profile.department)
        equal("nickName, which a replacement without it deletes", None, user.profile.nick_name)

    async def list_groups(self):
        groups, _ = await answer(self.okta.list_groups())
        everyone = [group for group in groups if group.type == "BUILT_IN"]
        check(everyone, "a group of type BUILT_IN", groups)
        ours = [group for group in groups if group.type == "OKTA_GROUP"]
        check(ours, "a group of type OKTA_GROUP", groups)
        group = ours[0]
        check(group.profile.actual_instance.name, "a name in its profile", group.profile)
        equal("objectClass", ["okta:user_group"], group.object_class)
        for name in ["created", "last_updated", "last_membership_updated"]:
            check(getattr(group, name) is not None, f"a time in {name}", None)
        self.group = group.id
        read, _ = await answer(self.okta.get_group(self.group))
        equal("the group read by id", self.group, read.id)

    async def add_to_group(self):
        for user in [self.id, self.id, self.other]:  # the second time changes nothing
            _, response = await answer(self.okta.assign_user_to_group(self.group, user))
            equal("status", 204, response.status_code)

    async def page_through_members(self):
        found = await pages(self.okta.list_group_users, self.group, limit=1)
        check(len(found) >= 2, "two pages or more", found)
        check(all(len(page) <= 1 for page in found), "pages of one member at most", found)
        ids = [user.id for page in found for user in page]
        equal("each member once", len(ids), len(set(ids)))
        check({self.id, self.other} <= set(ids), "both users among the members", ids)

    async def list_groups_of_user(self):
        groups, _ = await answer(self.okta.list_user_groups(self.id))
        check(self.group in [group.id for group in groups], "the group among the user's", groups)
        check("BUILT_IN" in [group.type for group in groups], "Everyone among the user's groups", groups)

    async def remove_from_group(self):
        _, response = await answer(self.okta.unassign_user_from_group(self.group, self.id))
        equal("status", 204, response.status_code)
        found = await pages(self.okta.list_group_users, self.group)
        check(self.id not in [user.id for page in found for user in page], "no such member any more", found)

    async def deactivate_user(self):
        await answer(self.okta.deactivate_user(self.id, send_email=False))
        user, _ = await answer(self.okta.get_user(self.id))
        equal("status", "DEPROVISIONED", user.status)
        found, _ = await answer(self.okta.list_users(q=self.login))
        equal("deactivated users found with q", [], logins(found))

    async def delete_user(self):
        await answer(self.okta.delete_user(self.id))
        equal("status of a deleted user", 404, (await refusal(self.okta.get_user(self.id))).status)

    async def delete_user_in_two_steps(self):
        await answer(self.okta.delete_user(self.other))
        user, _ = await answer(self.okta.get_user(self.other))
        equal("status after the first delete", "DEPROVISIONED", user.status)
        await answer(self.okta.delete_user(self.other))
        equal("status after the second", 404, (await refusal(self.okta.get_user(self.other))).status)

    async def receive_events(self):
        wanted, deadline = set(EVENT_TYPES), time.monotonic() + 30
        while wanted:
            try:
                secret, body = self.receiver.deliveries.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"not delivered: {sorted(wanted)}") from None
            equal("the secret in Authorization", HOOK_SECRET, secret)
            equal("eventType of the envelope", "com.okta.event_hook", body["eventType"])
            for event in body["data"]["events"]:
                check(event["eventType"] in EVENT_TYPES, "only types subscribed to", event["eventType"])
                if self.id in [target["id"] for target in event["target"]]:
                    wanted.discard(event["eventType"])

    async def delete_event_hook(self):
        hook, _ = await answer(self.okta.deactivate_event_hook(self.hook))
        equal("status", "INACTIVE", hook.status)
        await answer(self.okta.delete_event_hook(self.hook))
        equal("status of a deleted hook", 404, (await refusal(self.okta.get_event_hook(self.hook))).status)

    async def act_as_service_app(self, bound):
        """A service app's assertion, and where wanted tokens bound to a key, as the SDK makes them."""
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        encoding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        pem = key.private_bytes(*encoding).decode()
        public = json.loads(JWK.from_pem(pem.encode()).export_public()) | {"kid": f"judge-{self.tag}"}
        wish = {"type": "service", "jwks": {"keys": [public]}, "dpop_bound": bound, "scopes": ["okta.users.read"]}
        request = urllib.request.Request(
            os.environ["OKTA_CLIENT_ORGURL"] + "/_sandbox/clients",
            json.dumps(wish).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answered:
            client_id = json.load(answered)["client_id"]
        service = Client(
            {
                "authorizationMode": "PrivateKey",
                "clientId": client_id,
                "scopes": ["okta.users.read"],
                "privateKey": pem,
                "kid": public["kid"],
                "dpopEnabled": bound,
            }
        )
        users, _ = await answer(service.list_users(limit=1))
        equal("number of users on a page of one", 1, len(users))
        equal("status of a write without its scope", 403, (await refusal(service.deactivate_user(users[0].id))).status)

    async def act_as_service_app_with_an_assertion(self):
        await self.act_as_service_app(bound=False)

    async def act_as_service_app_with_bound_tokens(self):
        await self.act_as_service_app(bound=True)

    def steps(self):
        return [
            self.register_event_hook,
            self.create_user,
            self.create_staged_user,
            self.refuse_taken_login,
            self.read_user_by_id,
            self.read_user_by_login,
            self.refuse_unknown_user,
            self.find_with_q,
            self.find_with_search,
            self.page_through_search,
            self.find_with_filter,
            self.refuse_bad_search,
            self.update_user,
            self.replace_user,
            self.list_groups,
            self.add_to_group,
            self.page_through_members,
            self.list_groups_of_user,
            self.remove_from_group,
            self.deactivate_user,
            self.delete_user,
            self.delete_user_in_two_steps,
            self.receive_events,
            self.delete_event_hook,
            self.act_as_service_app_with_an_assertion,
            self.act_as_service_app_with_bound_tokens,
        ]


async def main():
    judge = Judge(Client({}))
    skip = os.environ.get("JUDGE_SKIP", "").split()
    keep_going = os.environ.get("JUDGE_KEEP_GOING") == "1"
    failed = 0
    for step in judge.steps():
        name = step.__name__
        if name in skip:
            print(f"python {name}: SKIPPED", flush=True)
            continue
        try:
            await step()
            print(f"python {name}: ok", flush=True)
        except Exception as error:
            failed += 1
            reason = str(error).replace("\n", " ")[:600]
            print(f"python {name}: FAILED: {type(error).__name__}: {reason}", flush=True)
            if not isinstance(error, (AssertionError, Refused)):
                traceback.print_exc()
            if not keep_going:
                break
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
