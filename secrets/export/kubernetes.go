package export

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/waybill-dev/waybill/secrets"
)

// SecretOptions configures [KubernetesSecret].
type SecretOptions struct {
	Namespace string
	Labels    map[string]string
	Type      string // empty means Opaque
	Immutable bool
}

// maxSecret is what an API server accepts of a Secret's data.
const maxSecret = 1 << 20

var (
	secretKey = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)
	objName   = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
)

// KubernetesSecret writes the manifest of a Secret, in YAML, that holds the items by name. Its data is base64,
// which hides nothing: keep it out of Git, or use [ExternalSecrets].
func KubernetesSecret(w io.Writer, name string, items []Item, o *SecretOptions) error {
	if o == nil {
		o = &SecretOptions{}
	}
	errs := []error{check(items, secretKey), checkObject(name, o.Namespace)}
	size := 0
	for _, item := range items {
		if size += item.Value.Len(); size > maxSecret {
			errs = append(errs, invalid(item.Name, "with it the values are larger than the %d bytes a Secret can hold", maxSecret))
			break
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var b bytes.Buffer
	b.WriteString("apiVersion: v1\nkind: Secret\n")
	metadata(&b, name, o.Namespace, o.Labels)
	kind := o.Type
	if kind == "" {
		kind = "Opaque"
	}
	fmt.Fprintf(&b, "type: %s\n", scalar(kind))
	if o.Immutable {
		b.WriteString("immutable: true\n")
	}
	b.WriteString("data:")
	if len(items) == 0 {
		b.WriteString(" {}")
	}
	b.WriteString("\n")
	for _, item := range items {
		fmt.Fprintf(&b, "  %s: %s\n", scalar(item.Name), scalar(base64.StdEncoding.EncodeToString(item.Value.ExposeBytes())))
	}
	return write(w, &b)
}

func checkObject(name, namespace string) error {
	var errs []error
	if !objName.MatchString(name) || len(name) > 253 {
		errs = append(errs, invalid("", "the object's name %q must match %s", name, objName))
	}
	if namespace != "" && (!objName.MatchString(namespace) || strings.Contains(namespace, ".") || len(namespace) > 63) {
		errs = append(errs, invalid("", "the namespace %q is not a valid one", namespace))
	}
	return errors.Join(errs...)
}

func metadata(b *bytes.Buffer, name, namespace string, labels map[string]string) {
	fmt.Fprintf(b, "metadata:\n  name: %s\n", scalar(name))
	if namespace != "" {
		fmt.Fprintf(b, "  namespace: %s\n", scalar(namespace))
	}
	if len(labels) > 0 {
		b.WriteString("  labels:\n")
		for _, k := range slices.Sorted(maps.Keys(labels)) {
			fmt.Fprintf(b, "    %s: %s\n", scalar(k), scalar(labels[k]))
		}
	}
}

// scalar writes any text as a quoted YAML scalar: a JSON string is one.
func scalar(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// ExternalSecretsOptions configures [ExternalSecrets].
type ExternalSecretsOptions struct {
	// APIVersion is "v1" (External Secrets 0.16 and later, and when empty) or "v1beta1" (up to 0.16).
	APIVersion string
	Namespace  string
	// Server is Vault's address, as seen from the cluster.
	Server string
	// VaultNamespace is Vault Enterprise's.
	VaultNamespace string
	// CABundle is the authority of the server's certificate, in PEM; empty means the system's.
	CABundle []byte
	// Mounts gives the version of the key-value mounts the references are on. vault.Client.Mounts makes it.
	Mounts map[string]int
	// How the operator logs in; exactly one.
	Kubernetes *KubernetesAuth
	AppRole    *AppRoleAuth
	// Refresh is how often values are read again; 0 means once an hour.
	Refresh time.Duration
}

// KubernetesAuth logs the operator in as a service account.
type KubernetesAuth struct {
	Role           string
	Mount          string // empty means "kubernetes"
	ServiceAccount string // empty means the operator's own
}

// AppRoleAuth logs the operator in by AppRole, the secret id taken from a Secret.
type AppRoleAuth struct {
	RoleID     string
	Mount      string // empty means "approle"
	SecretName string
	SecretKey  string
}

// ExternalSecrets writes manifests for the External Secrets operator: an ExternalSecret called name, which keeps a
// Secret of the same name, and a SecretStore for each Vault mount, called name-vault, name-vault-2 and so on. Items
// need a vault reference on a key-value mount; values are not looked at.
func ExternalSecrets(w io.Writer, name string, items []Item, o *ExternalSecretsOptions) error {
	if o == nil {
		o = &ExternalSecretsOptions{}
	}
	errs := []error{check(items, secretKey), checkObject(name, o.Namespace), o.check()}
	if len(items) == 0 {
		errs = append(errs, invalid("", "there are no items"))
	}
	var remotes []remote
	stores := map[string]string{} // by mount
	var mounts []string
	for _, item := range items {
		r, err := o.remote(item)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if stores[r.mount] == "" {
			stores[r.mount] = name + "-vault"
			if len(mounts) > 0 {
				stores[r.mount] += fmt.Sprintf("-%d", len(mounts)+1)
			}
			mounts = append(mounts, r.mount)
		}
		remotes = append(remotes, r)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	version := "external-secrets.io/v1"
	if o.APIVersion == "v1beta1" {
		version = "external-secrets.io/v1beta1"
	}
	var b bytes.Buffer
	for _, mount := range mounts {
		fmt.Fprintf(&b, "apiVersion: %s\nkind: SecretStore\n", version)
		metadata(&b, stores[mount], o.Namespace, nil)
		o.provider(&b, mount)
		b.WriteString("---\n")
	}
	fmt.Fprintf(&b, "apiVersion: %s\nkind: ExternalSecret\n", version)
	metadata(&b, name, o.Namespace, nil)
	refresh := o.Refresh
	if refresh == 0 {
		refresh = time.Hour
	}
	fmt.Fprintf(&b, "spec:\n  refreshInterval: %s\n  secretStoreRef:\n    name: %s\n    kind: SecretStore\n", scalar(refresh.String()), scalar(stores[mounts[0]]))
	fmt.Fprintf(&b, "  target:\n    name: %s\n    creationPolicy: Owner\n  data:\n", scalar(name))
	for i, r := range remotes {
		fmt.Fprintf(&b, "    - secretKey: %s\n      remoteRef:\n        key: %s\n", scalar(items[i].Name), scalar(r.key))
		if r.property != "" {
			fmt.Fprintf(&b, "        property: %s\n", scalar(r.property))
		}
		if r.version != 0 {
			fmt.Fprintf(&b, "        version: \"%d\"\n", r.version)
		}
		if r.mount != mounts[0] {
			fmt.Fprintf(&b, "      sourceRef:\n        storeRef:\n          name: %s\n          kind: SecretStore\n", scalar(stores[r.mount]))
		}
	}
	return write(w, &b)
}

func (o *ExternalSecretsOptions) check() error {
	var errs []error
	if o.APIVersion != "" && o.APIVersion != "v1" && o.APIVersion != "v1beta1" {
		errs = append(errs, invalid("", "APIVersion: %q; there are v1 and v1beta1", o.APIVersion))
	}
	if !strings.HasPrefix(o.Server, "https://") && !strings.HasPrefix(o.Server, "http://") {
		errs = append(errs, invalid("", "Server: want Vault's address, https://host:port"))
	}
	switch {
	case (o.Kubernetes == nil) == (o.AppRole == nil):
		errs = append(errs, invalid("", "Kubernetes, AppRole: set exactly one"))
	case o.Kubernetes != nil && o.Kubernetes.Role == "":
		errs = append(errs, invalid("", "Kubernetes.Role: missing"))
	case o.AppRole != nil && (o.AppRole.RoleID == "" || o.AppRole.SecretName == "" || o.AppRole.SecretKey == ""):
		errs = append(errs, invalid("", "AppRole: RoleID, SecretName and SecretKey are needed"))
	}
	for mount, version := range o.Mounts {
		if version != 1 && version != 2 {
			errs = append(errs, invalid("", "Mounts: version %d of %q; there are 1 and 2", version, mount))
		}
	}
	if o.Refresh < 0 {
		errs = append(errs, invalid("", "Refresh: negative"))
	}
	return errors.Join(errs...)
}

// remote is a reference as the operator knows it.
type remote struct {
	mount, key, property string
	version              int
}

func (o *ExternalSecretsOptions) remote(item Item) (remote, error) {
	ref, err := secrets.ParseRef(item.Ref)
	if err != nil {
		return remote{}, invalid(item.Name, "%w", err)
	}
	if ref.Scheme != "vault" {
		return remote{}, invalid(item.Name, "%s is not in Vault", item.Ref)
	}
	for mount, version := range o.Mounts {
		mount = strings.Trim(mount, "/")
		key, below := strings.CutPrefix(ref.Path, mount+"/")
		if !below {
			continue
		}
		if version == 2 {
			key = strings.TrimPrefix(key, "data/")
		} else if ref.Version != 0 {
			return remote{}, invalid(item.Name, "%s is key-value version 1, which keeps no versions", mount)
		}
		return remote{mount: mount, key: key, property: ref.Key, version: ref.Version}, nil
	}
	return remote{}, invalid(item.Name, "Mounts names no key-value mount for %s", item.Ref)
}

func (o *ExternalSecretsOptions) provider(b *bytes.Buffer, mount string) {
	version := o.Mounts[mount]
	for path, v := range o.Mounts { // the key may have been given with slashes
		if strings.Trim(path, "/") == mount {
			version = v
		}
	}
	fmt.Fprintf(b, "spec:\n  provider:\n    vault:\n      server: %s\n      path: %s\n      version: v%d\n", scalar(o.Server), scalar(mount), version)
	if o.VaultNamespace != "" {
		fmt.Fprintf(b, "      namespace: %s\n", scalar(o.VaultNamespace))
	}
	if len(o.CABundle) > 0 {
		fmt.Fprintf(b, "      caBundle: %s\n", scalar(base64.StdEncoding.EncodeToString(o.CABundle)))
	}
	b.WriteString("      auth:\n")
	if k := o.Kubernetes; k != nil {
		fmt.Fprintf(b, "        kubernetes:\n          mountPath: %s\n          role: %s\n", scalar(or(k.Mount, "kubernetes")), scalar(k.Role))
		if k.ServiceAccount != "" {
			fmt.Fprintf(b, "          serviceAccountRef:\n            name: %s\n", scalar(k.ServiceAccount))
		}
		return
	}
	a := o.AppRole
	fmt.Fprintf(b, "        appRole:\n          path: %s\n          roleId: %s\n          secretRef:\n            name: %s\n            key: %s\n",
		scalar(or(a.Mount, "approle")), scalar(a.RoleID), scalar(a.SecretName), scalar(a.SecretKey))
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
