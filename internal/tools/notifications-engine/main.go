// Command notifications-engine does with one application what Argo CD's notifications controller does, with the
// controller's own engine, and without a cluster: it reads a ConfigMap and an Application from standard input, runs
// the trigger, and sends what it asks for to a recipient of the service email.
//
// With the path of a kubeconfig as its argument it runs the controller itself, on that cluster, until it is stopped.
//
// Input and output of the former are JSON: {"configMap": {name: text}, "secret": {name: text}, "trigger": name, "recipient": address,
// "app": Application} gives [{"triggered": true, "oncePer": "…", "templates": ["…"], "error": "…"}].
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/notifications-engine/pkg/api"
	"github.com/argoproj/notifications-engine/pkg/services"
	corev1 "k8s.io/api/core/v1"
)

func main() {
	do := run
	if len(os.Args) > 1 {
		do = func() error { return control(os.Args[1]) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type outcome struct {
	Triggered bool     `json:"triggered"`
	OncePer   string   `json:"oncePer"`
	Templates []string `json:"templates"`
	Error     string   `json:"error,omitempty"`
}

func run() error {
	var in struct {
		ConfigMap, Secret  map[string]string
		Trigger, Recipient string
		App                map[string]any
	}
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return err
	}
	secret := &corev1.Secret{Data: map[string][]byte{}}
	for k, v := range in.Secret {
		secret.Data[k] = []byte(v)
	}
	cfg, err := api.ParseConfig(&corev1.ConfigMap{Data: in.ConfigMap}, secret)
	if err != nil {
		return err
	}
	engine, err := api.NewAPI(*cfg, func(obj map[string]any, _ services.Destination) map[string]any {
		return map[string]any{"app": obj}
	})
	if err != nil {
		return err
	}
	results, err := engine.RunTrigger(in.Trigger, in.App)
	if err != nil {
		return err
	}
	var out []outcome
	for _, r := range results {
		o := outcome{Triggered: r.Triggered, OncePer: r.OncePer, Templates: r.Templates}
		if r.Triggered && in.Recipient != "" {
			if err := engine.Send(in.App, r.Templates, services.Destination{Service: "email", Recipient: in.Recipient}); err != nil {
				o.Error = err.Error()
			}
		}
		out = append(out, o)
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}
