// The same load as the bench gives the connector, through Okta's own Go SDK as it comes: so many callers, each with a call every so
// often, whether or not the one before has been answered. Says how many were answered, by caller, as JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/okta/okta-sdk-golang/v5/okta"
)

func number(name string) int {
	value, err := strconv.Atoi(os.Getenv(name))
	if err != nil {
		panic(fmt.Sprintf("%s: %v", name, err))
	}
	return value
}

func main() {
	callers, lasting := number("CALLERS"), time.Duration(number("LASTING_MS"))*time.Millisecond
	every, timeout := time.Duration(number("EVERY_MS"))*time.Millisecond, time.Duration(number("TIMEOUT_MS"))*time.Millisecond
	configuration, err := okta.NewConfiguration(okta.WithTestingDisableHttpsCheck(true), okta.WithCache(false))
	if err != nil {
		panic(err)
	}
	org, err := url.Parse(configuration.Okta.Client.OrgUrl)
	if err != nil {
		panic(err)
	}
	configuration.Host = org.Host
	client := okta.NewAPIClient(configuration)

	answered := make([]int, callers)
	var lock sync.Mutex
	var calls sync.WaitGroup
	began := time.Now()
	for caller := range callers {
		calls.Add(1)
		go func() {
			defer calls.Done()
			time.Sleep(every * time.Duration(caller) / time.Duration(callers))
			for call := 0; time.Since(began) < lasting; call++ {
				calls.Add(1)
				go func() {
					defer calls.Done()
					ctx, cancel := context.WithTimeout(context.Background(), timeout)
					defer cancel()
					login := fmt.Sprintf("%d-%d@test.example", caller, call)
					_, response, _ := client.UserAPI.GetUser(ctx, login).Execute()
					// Nobody has that login, and to be told so is an answer.
					if response != nil && response.Response != nil && response.StatusCode == http.StatusNotFound {
						lock.Lock()
						answered[caller]++
						lock.Unlock()
					}
				}()
				time.Sleep(every)
			}
		}()
	}
	calls.Wait()
	_ = json.NewEncoder(os.Stdout).Encode(answered)
}
