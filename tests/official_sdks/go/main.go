// Judges a sandbox org with Okta's own Go SDK, unmodified.
//
// Takes the SDK's own variables, OKTA_CLIENT_ORGURL and OKTA_CLIENT_TOKEN. Two more are ours: JUDGE_SKIP, steps to leave out
// (names, separated by spaces), and JUDGE_KEEP_GOING=1, which goes on after a step that failed, to see them all.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/okta/okta-sdk-golang/v5/okta"
)

const hookSecret = "the judge's secret"

var eventTypes = []string{
	"user.lifecycle.create",
	"group.user_membership.add",
	"group.user_membership.remove",
	"user.lifecycle.deactivate",
}

type delivery struct {
	secret string
	body   struct {
		EventType string `json:"eventType"`
		Data      struct {
			Events []struct {
				EventType string `json:"eventType"`
				Target    []struct {
					ID string `json:"id"`
				} `json:"target"`
			} `json:"events"`
		} `json:"data"`
	}
}

type judge struct {
	okta       *okta.APIClient
	ctx        context.Context
	tag        string
	login      string
	lastName   string
	receiver   *httptest.Server
	deliveries chan delivery
	hook       string
	id         string
	other      string
	group      string
}

// failure is what a step panics with, so that steps read as a list of what is wanted.
type failure struct{ reason string }

func check(good bool, wanted string, got any) {
	if !good {
		panic(failure{fmt.Sprintf("wanted %s, got %v", wanted, got)})
	}
}

func equal[T comparable](what string, wanted, got T) {
	check(wanted == got, fmt.Sprintf("%s to be %v", what, wanted), got)
}

// ok takes the answer of a call that has to succeed.
func ok[T any](value T, response *okta.APIResponse, err error) T {
	done(response, err)
	return value
}

func done(response *okta.APIResponse, err error) {
	if err == nil {
		return
	}
	var api *okta.GenericOpenAPIError
	if errors.As(err, &api) {
		panic(failure{fmt.Sprintf("refused: %v %s", err, api.Body())})
	}
	panic(failure{err.Error()})
}

// refused takes the answer of a call that has to be refused, with this status and Okta error code.
func refused(status int, code string, response *okta.APIResponse, err error) okta.Error {
	check(err != nil, "a refusal", "none")
	var api *okta.GenericOpenAPIError
	check(errors.As(err, &api), "an error of the API", err)
	check(response != nil && response.Response != nil, "an answer", err)
	equal("status", status, response.StatusCode)
	// The SDK gives a model for some statuses only; its body is there for all.
	body, isModel := api.Model().(okta.Error)
	if !isModel {
		check(json.Unmarshal(api.Body(), &body) == nil, "Okta's error body", string(api.Body()))
	}
	equal("error code", code, body.GetErrorCode())
	check(body.GetErrorId() != "" && body.GetErrorSummary() != "", "an id and a summary in the error", string(api.Body()))
	return body
}

// pages follows the Link headers to the end of a list, as the SDK reads them.
func pages[T any](page []T, response *okta.APIResponse, err error) [][]T {
	done(response, err)
	found := [][]T{page}
	for range 100 {
		if !response.HasNextPage() {
			return found
		}
		var next []T
		response, err = response.Next(&next)
		done(response, err)
		found = append(found, next)
	}
	panic(failure{"the list does not end: 100 pages, and still a next link"})
}

// eventually asks again for a while, as Okta's index lags behind writes.
func eventually(wanted []string, how string, ask func() []string) {
	deadline := time.Now().Add(15 * time.Second)
	for {
		got := ask()
		if slices.Equal(got, wanted) {
			return
		}
		check(time.Now().Before(deadline), fmt.Sprintf("%v %s", wanted, how), got)
		time.Sleep(250 * time.Millisecond)
	}
}

func logins(users []okta.User) []string {
	found := []string{}
	for _, user := range users {
		found = append(found, user.Profile.GetLogin())
	}
	return found
}

func (j *judge) profile(firstName, login string) okta.UserProfile {
	profile := okta.UserProfile{Email: &login, Login: &login}
	profile.SetFirstName(firstName)
	profile.SetLastName(j.lastName)
	return profile
}

func (j *judge) registerEventHook() {
	scheme := okta.EventHookChannelConfigAuthScheme{
		Type: okta.PtrString("HEADER"), Key: okta.PtrString("Authorization"), Value: okta.PtrString(hookSecret),
	}
	hook := okta.EventHook{
		Name:   "judge " + j.tag,
		Events: okta.EventSubscriptions{Type: "EVENT_TYPE", Items: eventTypes},
		Channel: okta.EventHookChannel{
			Type: "HTTP", Version: "1.0.0",
			Config: okta.EventHookChannelConfig{Uri: j.receiver.URL + "/okta", AuthScheme: &scheme},
		},
	}
	made := ok(j.okta.EventHookAPI.CreateEventHook(j.ctx).EventHook(hook).Execute())
	equal("verificationStatus of a new hook", "UNVERIFIED", made.GetVerificationStatus())
	check(made.Channel.Config.AuthScheme.Value == nil, "no secret in the answer", made.Channel.Config.AuthScheme.GetValue())
	verified := ok(j.okta.EventHookAPI.VerifyEventHook(j.ctx, made.GetId()).Execute())
	equal("verificationStatus after verifying", "VERIFIED", verified.GetVerificationStatus())
	equal("status", "ACTIVE", verified.GetStatus())
	listed := ok(j.okta.EventHookAPI.ListEventHooks(j.ctx).Execute())
	check(slices.ContainsFunc(listed, func(hook okta.EventHook) bool { return hook.GetId() == made.GetId() }),
		"the hook in the list", len(listed))
	j.hook = made.GetId()
}

func (j *judge) createUser() {
	password := okta.PasswordCredential{Value: okta.PtrString("Tr0ub4dor&3-judge")}
	body := okta.CreateUserRequest{
		Profile:     j.profile("Grace", j.login),
		Credentials: &okta.UserCredentials{Password: &password},
	}
	user := ok(j.okta.UserAPI.CreateUser(j.ctx).Body(body).Activate(true).Execute())
	j.id = user.GetId()
	equal("status of an active user with a password", "ACTIVE", user.GetStatus())
	equal("login", j.login, user.Profile.GetLogin())
	check(user.Created != nil && user.LastUpdated != nil, "times in created and lastUpdated", user)
	check(user.Activated.Get() != nil && user.StatusChanged.Get() != nil, "times in activated and statusChanged", "none")
	check(user.PasswordChanged.Get() != nil, "a time in passwordChanged", "none")
	check(user.LastLogin.IsSet() && user.LastLogin.Get() == nil, "null in lastLogin", user.LastLogin.Get())
	check(user.Credentials.Password != nil, "an empty object in credentials.password", "none")
	check(user.Credentials.Password.Value == nil, "no password in the answer", "one")
	equal("provider", "OKTA", user.Credentials.Provider.GetType())
	check(user.Type.GetId() != "", "an id of the user's type", "none")
	check(user.Links != nil && user.Links.Self != nil, "a link to itself", user.Links)
}

func (j *judge) createStagedUser() {
	body := okta.CreateUserRequest{Profile: j.profile("Alan", "alan."+j.tag+"@judge.example")}
	user := ok(j.okta.UserAPI.CreateUser(j.ctx).Body(body).Activate(false).Execute())
	equal("status of a user not activated", "STAGED", user.GetStatus())
	check(user.Activated.Get() == nil, "null in activated", user.Activated.Get())
	j.other = user.GetId()
}

func (j *judge) refuseTakenLogin() {
	body := okta.CreateUserRequest{Profile: j.profile("Grace", j.login)}
	_, response, err := j.okta.UserAPI.CreateUser(j.ctx).Body(body).Execute()
	causes := refused(http.StatusBadRequest, "E0000001", response, err).ErrorCauses
	check(slices.ContainsFunc(causes, func(cause okta.ErrorCause) bool {
		return strings.HasPrefix(cause.GetErrorSummary(), "login: ")
	}), "a cause on `login`", causes)
}

func (j *judge) readUserByID() {
	user, response, err := j.okta.UserAPI.GetUser(j.ctx, j.id).Execute()
	done(response, err)
	equal("login", j.login, user.Profile.GetLogin())
	for _, name := range []string{"x-okta-request-id", "x-rate-limit-limit", "x-rate-limit-remaining", "x-rate-limit-reset"} {
		check(response.Header.Get(name) != "", "a header "+name, "none")
	}
}

func (j *judge) readUserByLogin() {
	user := ok(j.okta.UserAPI.GetUser(j.ctx, j.login).Execute())
	equal("id", j.id, user.GetId())
}

func (j *judge) refuseUnknownUser() {
	_, response, err := j.okta.UserAPI.GetUser(j.ctx, "nobody."+j.tag+"@judge.example").Execute()
	refused(http.StatusNotFound, "E0000007", response, err)
}

func (j *judge) findWithQ() {
	q := strings.ToUpper(strings.TrimSuffix(j.login, "ple"))
	eventually([]string{j.login}, "with q", func() []string {
		return logins(ok(j.okta.UserAPI.ListUsers(j.ctx).Q(q).Limit(5).Execute()))
	})
}

func (j *judge) findWithSearch() {
	search := fmt.Sprintf(`profile.lastName eq "%s" and profile.firstName sw "gr"`, j.lastName)
	eventually([]string{j.login}, "with search", func() []string {
		return logins(ok(j.okta.UserAPI.ListUsers(j.ctx).Search(search).Execute()))
	})
}

func (j *judge) pageThroughSearch() {
	search := fmt.Sprintf(`profile.lastName eq "%s"`, j.lastName)
	eventually([]string{j.id, j.other}, "page by page: Grace, then Alan", func() []string {
		ids := []string{}
		list := j.okta.UserAPI.ListUsers(j.ctx).Search(search).Limit(1).SortBy("profile.firstName").SortOrder("desc")
		for _, page := range pages(list.Execute()) {
			check(len(page) <= 1, "pages of one user at most", len(page))
			for _, user := range page {
				ids = append(ids, user.GetId())
			}
		}
		return ids
	})
}

func (j *judge) findWithFilter() {
	filter := fmt.Sprintf(`profile.login eq "%s" and status eq "ACTIVE"`, j.login)
	eventually([]string{j.login}, "with filter", func() []string {
		return logins(ok(j.okta.UserAPI.ListUsers(j.ctx).Filter(filter).Execute()))
	})
}

func (j *judge) refuseBadSearch() {
	_, response, err := j.okta.UserAPI.ListUsers(j.ctx).Search(`profile.login ne "x"`).Execute()
	refused(http.StatusBadRequest, "E0000031", response, err)
}

func (j *judge) updateUser() {
	profile := okta.UserProfile{Department: okta.PtrString("Compilers")}
	profile.SetNickName("Amazing")
	user := ok(j.okta.UserAPI.UpdateUser(j.ctx, j.id).User(okta.UpdateUserRequest{Profile: &profile}).Execute())
	equal("department", "Compilers", user.Profile.GetDepartment())
	equal("firstName, which was not given", "Grace", user.Profile.GetFirstName())
	read := ok(j.okta.UserAPI.GetUser(j.ctx, j.id).Execute())
	equal("nickName, read again", "Amazing", read.Profile.GetNickName())
	check(!read.LastUpdated.Before(*read.Created), "lastUpdated not before created", read.LastUpdated)
}

func (j *judge) clearWithNull() {
	profile := okta.UserProfile{}
	profile.SetNickNameNil()
	ok(j.okta.UserAPI.UpdateUser(j.ctx, j.id).User(okta.UpdateUserRequest{Profile: &profile}).Execute())
	read := ok(j.okta.UserAPI.GetUser(j.ctx, j.id).Execute())
	check(read.Profile.NickName.Get() == nil, "no nickName after null", read.Profile.GetNickName())
	equal("department, which was not given", "Compilers", read.Profile.GetDepartment())
}

func (j *judge) replaceUser() {
	profile := j.profile("Grace", j.login)
	profile.SetTitle("Rear Admiral")
	user := ok(j.okta.UserAPI.ReplaceUser(j.ctx, j.id).User(okta.User{Profile: &profile}).Execute())
	equal("title", "Rear Admiral", user.Profile.GetTitle())
	equal("department, which a replacement without it deletes", "", user.Profile.GetDepartment())
}

func (j *judge) listGroups() {
	groups := ok(j.okta.GroupAPI.ListGroups(j.ctx).Execute())
	kinds := map[string]okta.Group{}
	for _, group := range groups {
		kinds[group.GetType()] = group
	}
	check(kinds["BUILT_IN"].Id != nil, "a group of type BUILT_IN", kinds)
	group := kinds["OKTA_GROUP"]
	check(group.Id != nil, "a group of type OKTA_GROUP", kinds)
	check(group.Profile.GetName() != "", "a name in its profile", group.Profile)
	equal("objectClass", "okta:user_group", strings.Join(group.ObjectClass, " "))
	check(group.Created != nil && group.LastUpdated != nil && group.LastMembershipUpdated != nil, "its three times", "none")
	read := ok(j.okta.GroupAPI.GetGroup(j.ctx, group.GetId()).Execute())
	j.group = read.GetId()
	equal("the group read by id", group.GetId(), j.group)
}

func (j *judge) addToGroup() {
	for _, user := range []string{j.id, j.id, j.other} { // the second time changes nothing
		response, err := j.okta.GroupAPI.AssignUserToGroup(j.ctx, j.group, user).Execute()
		done(response, err)
		equal("status", http.StatusNoContent, response.StatusCode)
	}
}

func (j *judge) members(limit int32) []string {
	ids := []string{}
	for _, page := range pages(j.okta.GroupAPI.ListGroupUsers(j.ctx, j.group).Limit(limit).Execute()) {
		check(len(page) <= int(limit), fmt.Sprintf("pages of %d at most", limit), len(page))
		for _, user := range page {
			ids = append(ids, user.GetId())
		}
	}
	return ids
}

func (j *judge) pageThroughMembers() {
	ids := j.members(1)
	check(slices.Contains(ids, j.id) && slices.Contains(ids, j.other), "both users among the members", ids)
	once := slices.Clone(ids)
	slices.Sort(once)
	equal("each member once", len(ids), len(slices.Compact(once)))
}

func (j *judge) listGroupsOfUser() {
	kinds := map[string]string{}
	for _, group := range ok(j.okta.UserAPI.ListUserGroups(j.ctx, j.id).Execute()) {
		kinds[group.GetId()] = group.GetType()
	}
	equal("type of the group among the user's", "OKTA_GROUP", kinds[j.group])
	everyone := false
	for _, kind := range kinds {
		everyone = everyone || kind == "BUILT_IN"
	}
	check(everyone, "Everyone among the user's groups", kinds)
}

func (j *judge) removeFromGroup() {
	response, err := j.okta.GroupAPI.UnassignUserFromGroup(j.ctx, j.group, j.id).Execute()
	done(response, err)
	equal("status", http.StatusNoContent, response.StatusCode)
	ids := j.members(200)
	check(!slices.Contains(ids, j.id), "no such member any more", ids)
}

func (j *judge) deactivateUser() {
	response, err := j.okta.UserAPI.DeactivateUser(j.ctx, j.id).SendEmail(false).Execute()
	done(response, err)
	user := ok(j.okta.UserAPI.GetUser(j.ctx, j.id).Execute())
	equal("status", "DEPROVISIONED", user.GetStatus())
	found := ok(j.okta.UserAPI.ListUsers(j.ctx).Q(j.login).Execute())
	equal("deactivated users found with q", 0, len(found))
}

func (j *judge) delete(id string) {
	response, err := j.okta.UserAPI.DeleteUser(j.ctx, id).SendEmail(false).Execute()
	done(response, err)
	equal("status", http.StatusNoContent, response.StatusCode)
}

func (j *judge) gone(id string) {
	_, response, err := j.okta.UserAPI.GetUser(j.ctx, id).Execute()
	refused(http.StatusNotFound, "E0000007", response, err)
}

func (j *judge) deleteUser() {
	j.delete(j.id)
	j.gone(j.id)
}

func (j *judge) deleteUserInTwoSteps() {
	j.delete(j.other)
	user := ok(j.okta.UserAPI.GetUser(j.ctx, j.other).Execute())
	equal("status after the first delete", "DEPROVISIONED", user.GetStatus())
	j.delete(j.other)
	j.gone(j.other)
}

func (j *judge) receiveEvents() {
	wanted := slices.Clone(eventTypes)
	deadline := time.After(30 * time.Second)
	for len(wanted) > 0 {
		select {
		case got := <-j.deliveries:
			equal("the secret in Authorization", hookSecret, got.secret)
			equal("eventType of the envelope", "com.okta.event_hook", got.body.EventType)
			for _, event := range got.body.Data.Events {
				check(slices.Contains(eventTypes, event.EventType), "only types subscribed to", event.EventType)
				for _, target := range event.Target {
					if target.ID == j.id {
						wanted = slices.DeleteFunc(wanted, func(kind string) bool { return kind == event.EventType })
					}
				}
			}
		case <-deadline:
			check(false, "deliveries of every type", fmt.Sprintf("none of %v", wanted))
		}
	}
}

func (j *judge) deleteEventHook() {
	hook := ok(j.okta.EventHookAPI.DeactivateEventHook(j.ctx, j.hook).Execute())
	equal("status", "INACTIVE", hook.GetStatus())
	response, err := j.okta.EventHookAPI.DeleteEventHook(j.ctx, j.hook).Execute()
	done(response, err)
	_, response, err = j.okta.EventHookAPI.GetEventHook(j.ctx, j.hook).Execute()
	refused(http.StatusNotFound, "E0000007", response, err)
}

// receive answers verification and takes deliveries.
func (j *judge) receive(answer http.ResponseWriter, request *http.Request) {
	if request.Method == http.MethodGet {
		answer.Header().Set("content-type", "application/json")
		challenge := request.Header.Get("x-okta-verification-challenge")
		_ = json.NewEncoder(answer).Encode(map[string]string{"verification": challenge})
		return
	}
	got := delivery{secret: request.Header.Get("authorization")}
	if err := json.NewDecoder(request.Body).Decode(&got.body); err != nil {
		answer.WriteHeader(http.StatusBadRequest)
		return
	}
	j.deliveries <- got
}

// actAsServiceApp lets the SDK make a service app's assertion, and where the org wants that, tokens bound to a key.
func (j *judge) actAsServiceApp(bound bool) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(err == nil, "a key", err)
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	public := map[string]any{
		"kty": "RSA", "kid": "judge-" + j.tag, "n": number(key.N), "e": number(big.NewInt(int64(key.E))),
	}
	wish, _ := json.Marshal(map[string]any{
		"type": "service", "jwks": map[string]any{"keys": []any{public}}, "dpop_bound": bound,
		"scopes": []string{"okta.users.read"},
	})
	org := os.Getenv("OKTA_CLIENT_ORGURL")
	made, err := http.Post(org+"/_sandbox/clients", "application/json", bytes.NewReader(wish))
	check(err == nil && made.StatusCode == http.StatusCreated, "a client", made)
	defer func() { _ = made.Body.Close() }()
	var client struct {
		ID string `json:"client_id"`
	}
	check(json.NewDecoder(made.Body).Decode(&client) == nil, "a client id", client)
	encoded := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	service := newClient(
		okta.WithAuthorizationMode("PrivateKey"), okta.WithClientId(client.ID), okta.WithToken(""),
		okta.WithScopes([]string{"okta.users.read"}), okta.WithPrivateKey(string(encoded)),
		okta.WithPrivateKeyId("judge-"+j.tag),
	)
	users, _, err := service.UserAPI.ListUsers(j.ctx).Limit(1).Execute()
	check(err == nil && len(users) == 1, "one user", err)
	answer, err := service.UserAPI.DeactivateUser(j.ctx, users[0].GetId()).Execute()
	check(err != nil && answer.StatusCode == http.StatusForbidden, "403 without the scope", err)
}

// newClient is a client of the org that the environment names. The SDK drops the port of the URL; the host of its configuration is
// its own setting for that.
func newClient(more ...okta.ConfigSetter) *okta.APIClient {
	setters := append([]okta.ConfigSetter{okta.WithTestingDisableHttpsCheck(true), okta.WithCache(false)}, more...)
	configuration, err := okta.NewConfiguration(setters...)
	check(err == nil, "a configuration", err)
	org, err := url.Parse(configuration.Okta.Client.OrgUrl)
	check(err == nil && org.Host != "", "a URL in OKTA_CLIENT_ORGURL", configuration.Okta.Client.OrgUrl)
	configuration.Host = org.Host
	return okta.NewAPIClient(configuration)
}

func (j *judge) run(step func()) (failed *failure) {
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case failure:
			failed = &reason
		default:
			failed = &failure{fmt.Sprintf("panic: %v", reason)}
		}
	}()
	step()
	return nil
}

func main() {
	tag := strings.ToLower(rand.Text()[:10])
	j := &judge{
		okta: newClient(), ctx: context.Background(), tag: tag,
		login: "grace." + tag + "@judge.example", lastName: "Judged" + tag, deliveries: make(chan delivery, 1000),
	}
	j.receiver = httptest.NewServer(http.HandlerFunc(j.receive))
	steps := []struct {
		name string
		run  func()
	}{
		{"register_event_hook", j.registerEventHook},
		{"create_user", j.createUser},
		{"create_staged_user", j.createStagedUser},
		{"refuse_taken_login", j.refuseTakenLogin},
		{"read_user_by_id", j.readUserByID},
		{"read_user_by_login", j.readUserByLogin},
		{"refuse_unknown_user", j.refuseUnknownUser},
		{"find_with_q", j.findWithQ},
		{"find_with_search", j.findWithSearch},
		{"page_through_search", j.pageThroughSearch},
		{"find_with_filter", j.findWithFilter},
		{"refuse_bad_search", j.refuseBadSearch},
		{"update_user", j.updateUser},
		{"clear_with_null", j.clearWithNull},
		{"replace_user", j.replaceUser},
		{"list_groups", j.listGroups},
		{"add_to_group", j.addToGroup},
		{"page_through_members", j.pageThroughMembers},
		{"list_groups_of_user", j.listGroupsOfUser},
		{"remove_from_group", j.removeFromGroup},
		{"deactivate_user", j.deactivateUser},
		{"delete_user", j.deleteUser},
		{"delete_user_in_two_steps", j.deleteUserInTwoSteps},
		{"receive_events", j.receiveEvents},
		{"delete_event_hook", j.deleteEventHook},
		{"act_as_service_app_with_an_assertion", func() { j.actAsServiceApp(false) }},
		{"act_as_service_app_with_bound_tokens", func() { j.actAsServiceApp(true) }},
	}
	skip := strings.Fields(os.Getenv("JUDGE_SKIP"))
	keepGoing := os.Getenv("JUDGE_KEEP_GOING") == "1"
	status := 0
	for _, step := range steps {
		if slices.Contains(skip, step.name) {
			fmt.Printf("go %s: SKIPPED\n", step.name)
			continue
		}
		if failed := j.run(step.run); failed != nil {
			fmt.Printf("go %s: FAILED: %.600s\n", step.name, failed.reason)
			status = 1
			if !keepGoing {
				break
			}
			continue
		}
		fmt.Printf("go %s: ok\n", step.name)
	}
	os.Exit(status)
}
