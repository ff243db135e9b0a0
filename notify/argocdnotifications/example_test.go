package argocdnotifications_test

import (
	"fmt"

	"github.com/waybill-dev/waybill/notify/argocdnotifications"
)

func ExampleSubscription() {
	name, value, err := argocdnotifications.Subscription("dev@example.test")
	fmt.Printf("%s: %s %v\n", name, value, err)
	// Output: notifications.argoproj.io/subscribe.on-healthy.email: dev@example.test <nil>
}

func ExampleConfigMap_invalid() {
	_, err := argocdnotifications.ConfigMap(argocdnotifications.Config{Host: "mail.example.test", From: "argocd"})
	fmt.Println(err)
	// Output: notify: write argocd-notifications-cm: invalid: field From: "argocd" is no bare mail address
}
