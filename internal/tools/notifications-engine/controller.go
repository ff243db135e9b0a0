package main

import (
	"context"
	"os/signal"
	"syscall"
	"time"

	"github.com/argoproj/notifications-engine/pkg/api"
	"github.com/argoproj/notifications-engine/pkg/controller"
	"github.com/argoproj/notifications-engine/pkg/services"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const namespace = "argocd"

// control runs the engine's controller on the cluster of the kubeconfig, as Argo CD does: for its Applications, with its
// names of the ConfigMap and the Secret.
func control(kubeconfig string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	kind := schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}
	applications := dynamicinformer.NewFilteredDynamicSharedInformerFactory(objects, time.Minute, namespace, nil).ForResource(kind).Informer()
	shared := informers.NewSharedInformerFactoryWithOptions(client, time.Minute, informers.WithNamespace(namespace))
	secrets, configMaps := shared.Core().V1().Secrets().Informer(), shared.Core().V1().ConfigMaps().Informer()
	factory := api.NewFactory(api.Settings{
		ConfigMapName: "argocd-notifications-cm", SecretName: "argocd-notifications-secret",
		InitGetVars: func(*api.Config, *corev1.ConfigMap, *corev1.Secret) (api.GetVars, error) {
			return func(app map[string]any, _ services.Destination) map[string]any { return map[string]any{"app": app} }, nil
		},
	}, namespace, secrets, configMaps)
	loop := controller.NewController(objects.Resource(kind), applications, factory, controller.WithToUnstructured(
		func(app metav1.Object) (*unstructured.Unstructured, error) {
			return app.(*unstructured.Unstructured), nil
		}))
	shared.Start(ctx.Done())
	shared.WaitForCacheSync(ctx.Done())
	go applications.Run(ctx.Done())
	loop.Run(2, ctx.Done())
	return nil
}
