package secrets_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/waybill-dev/waybill/secrets"
	"github.com/waybill-dev/waybill/secrets/secretstest"
)

// A program reads what it needs by reference. Printing the result by accident shows nothing.
func Example() {
	store := secretstest.NewMemory(map[string]string{"team/app": `{"user":"deploy","password":"hunter22"}`})
	r, err := secrets.NewResolver(map[string]secrets.Store{"mem": store, "env": secrets.FromEnv()}, nil)
	if err != nil {
		panic(err)
	}
	defer r.Close()

	password, err := r.Get(context.Background(), "mem://team/app#password")
	fmt.Println(password, err)
	fmt.Printf("%+v\n", struct{ Password secrets.Value }{password})
	fmt.Println(password.Expose() == "hunter22")
	// Output:
	// [redacted] <nil>
	// {Password:[redacted]}
	// true
}

// Errors say what is missing, by reference, and are told apart with errors.Is.
func Example_failure() {
	r, err := secrets.NewResolver(map[string]secrets.Store{"mem": secretstest.NewMemory(map[string]string{"app": `{"user":"x"}`})}, nil)
	if err != nil {
		panic(err)
	}
	defer r.Close()
	for _, ref := range []string{"mem://app#password", "mem://elsewhere#password", "vault://kv/app#password"} {
		_, err := r.Get(context.Background(), ref)
		fmt.Println(err, "|", errors.Is(err, secrets.ErrNotFound), errors.Is(err, secrets.ErrNoKey))
	}
	// Output:
	// secrets: get mem://app#password: no such key: the JSON object has no such member | false true
	// secrets: get mem://elsewhere#password: not found | true false
	// secrets: get vault://kv/app#password: no store for this scheme: scheme "vault" | false false
}

func ExampleResolver_Bind() {
	r, err := secrets.NewResolver(map[string]secrets.Store{"mem": secretstest.NewMemory(map[string]string{"db": `{"user":"app","password":"hunter22","port":5432}`})}, nil)
	if err != nil {
		panic(err)
	}
	defer r.Close()
	var config struct {
		User     string        `secret:"mem://db#user"`
		Password secrets.Value `secret:"mem://db#password"`
		Port     uint16        `secret:"mem://db#port"`
		Pool     int           `secret:"mem://db#pool,optional"`
	}
	config.Pool = 10
	fmt.Println(r.Bind(context.Background(), &config))
	fmt.Printf("%+v\n", config)
	// Output:
	// <nil>
	// {User:app Password:[redacted] Port:5432 Pool:10}
}

// All that is missing is reported at once, and nothing is set.
func ExampleResolver_Bind_failure() {
	r, err := secrets.NewResolver(map[string]secrets.Store{"mem": secretstest.NewMemory(map[string]string{"db": `{"port":"hunter22"}`})}, nil)
	if err != nil {
		panic(err)
	}
	defer r.Close()
	type Config struct {
		User string `secret:"mem://db#user"`
		Port uint16 `secret:"mem://db#port"`
	}
	fmt.Println(r.Bind(context.Background(), &Config{}))
	// Output:
	// field Config.User: secrets: get mem://db#user: no such key: the JSON object has no such member
	// secrets: bind field Config.Port from mem://db#port: value does not fit: not a valid uint16
}

// The credential function is what the other packages of this module take.
func ExampleResolver_Func() {
	r, err := secrets.NewResolver(map[string]secrets.Store{"mem": secretstest.NewMemory(map[string]string{"registry": "token-of-the-day"})}, nil)
	if err != nil {
		panic(err)
	}
	defer r.Close()
	credential := r.Func("mem://registry") // asked at each login, so a rotated secret is used
	token, err := credential(context.Background())
	fmt.Println(token, err)
	// Output: token-of-the-day <nil>
}

func ExampleRedactor() {
	r := secrets.NewRedactor()
	if err := r.Add("password", secrets.NewValue("p@ss word")); err != nil {
		panic(err)
	}
	w := r.Writer(os.Stdout)
	fmt.Fprintln(w, "curl -u user:p@ss word https://user:p%40ss%20word@example.com")
	fmt.Fprintln(w, `Authorization: Basic dXNlcjpwQHNzIHdvcmQ=`)
	fmt.Fprint(w, "in two p@ss")
	fmt.Fprintln(w, " writes")
	fmt.Fprint(w, "in two p@ss")
	fmt.Fprintln(w, " word")
	_ = w.Close()
	fmt.Println(r.Error(errors.New("login with p@ss word failed")))
	// Output:
	// curl -u user:*** https://user:***@example.com
	// Authorization: Basic dXNlcjp***Q=
	// in two p@ss writes
	// in two ***
	// login with *** failed
}

func ExampleRedactor_Handler() {
	r := secrets.NewRedactor()
	_ = r.Add("password", secrets.NewValue("hunter22"))
	next := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	slog.New(r.Handler(next)).Info("login", "url", "https://me:hunter22@example.com", "tries", 3)
	// Output: level=INFO msg=login url=https://me:***@example.com tries=3
}

// Values of fewer than four bytes would make holes everywhere, so they are refused.
func ExampleRedactor_Add_tooShort() {
	err := secrets.NewRedactor().Add("vault://kv/door#pin", secrets.NewValue("42"))
	fmt.Println(err)
	// Output: secrets: mask vault://kv/door#pin: too short to mask: 2 bytes, masking takes 4
}
