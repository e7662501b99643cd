package lab_test

import (
	"fmt"
	"net/http"

	"github.com/jwkswatch/jwkswatch/lab"
)

func ExampleIssuer() {
	issuer := &lab.Issuer{}
	issuer.Publish(lab.ECFromSeed("2026-a", "P-256", "example"))
	url, stop, err := issuer.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	look := func() {
		answer, err := http.Get(url + "/jwks")
		if err != nil {
			fmt.Println("no answer")
			return
		}
		defer answer.Body.Close()
		fmt.Println(answer.StatusCode, answer.ContentLength)
	}

	look()
	issuer.Add(lab.ECFromSeed("2026-b", "P-256", "example b")) // a proper rotation: first the new key
	look()
	issuer.Remove("2026-a") // then, later, the old one goes
	issuer.Mutate("2026-b") // the attack: other material, same kid
	look()
	issuer.Answer(lab.Reset(lab.BeforeHeader)) // and silence
	look()
	// Output:
	// 200 178
	// 200 346
	// 200 178
	// no answer
}
