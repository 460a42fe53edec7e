SwaggerUIBundle({ url: "openapi.json", dom_id: "#docs", deepLinking: true, presets: [SwaggerUIBundle.presets.apis] });
