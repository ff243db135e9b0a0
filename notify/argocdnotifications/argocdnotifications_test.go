package argocdnotifications_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/waybill-dev/waybill/internal/golden"
	"github.com/waybill-dev/waybill/notify"
	"github.com/waybill-dev/waybill/notify/argocdnotifications"
)

func TestConfigMap(t *testing.T) {
	tests := map[string]argocdnotifications.Config{
		"least": {Host: "mail.example.test", From: "argocd@example.test"},
		"all": {
			Host: "mail.example.test", Port: 2525, From: "argocd@example.test", Username: "ci: # x", PasswordKey: "email-password",
			InsecureSkipVerify: true, Namespace: "gitops", URL: "https://argocd.example.test/",
		},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := argocdnotifications.ConfigMap(c)
			require.NoError(t, err)
			golden.Check(t, "testdata/"+name+".yaml", got)
			var cm struct{ Data map[string]string }
			require.NoError(t, yaml.Unmarshal(got, &cm))
			var service struct {
				Host, From, Username, Password string
				Port                           int
			}
			require.NoError(t, yaml.Unmarshal([]byte(cm.Data["service.email"]), &service))
			assert.Equal(t, c.Host, service.Host)
			assert.Equal(t, c.From, service.From)
			assert.Equal(t, c.Username, service.Username)
			for _, key := range []string{"template.app-healthy", "trigger." + argocdnotifications.Trigger} {
				assert.NoError(t, yaml.Unmarshal([]byte(cm.Data[key]), new(any)), key)
			}
		})
	}
}

func TestConfigMap_refuses(t *testing.T) {
	_, err := argocdnotifications.ConfigMap(argocdnotifications.Config{
		Host: "a:1", Port: 70000, From: "nobody", Username: "$email-username", PasswordKey: "", Namespace: "A B", URL: "https://u:s3cr3t@x.test/{{.secret}}",
	})
	require.ErrorIs(t, err, notify.ErrInvalid)
	for _, field := range []string{"Host", "Port", "From", "Username", "PasswordKey", "Namespace", "URL", "contains a $"} {
		assert.ErrorContains(t, err, field)
	}
	assert.NotContains(t, err.Error(), "s3cr3t")
}

func TestSubscription(t *testing.T) {
	name, value, err := argocdnotifications.Subscription("dev@example.test", "ops@example.test")
	require.NoError(t, err)
	assert.Equal(t, "notifications.argoproj.io/subscribe.on-healthy.email", name)
	assert.Equal(t, "dev@example.test;ops@example.test", value)
	for _, bad := range [][]string{nil, {"nobody"}, {"a@b.test;c@d.test"}, {"Dev <a@b.test>"}} {
		_, _, err := argocdnotifications.Subscription(bad...)
		assert.ErrorIs(t, err, notify.ErrInvalid)
	}
}
