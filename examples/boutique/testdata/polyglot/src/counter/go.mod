module example.com/post/counter

go 1.26
