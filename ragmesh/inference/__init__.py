"""What Triton does for ragmesh: embed texts, write answers, and be started, built and watched."""
