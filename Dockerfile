# One image for web, worker, beat and migrations; docker-compose.yml gives each its command.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CALLBOARD_MODE=production CALLBOARD_DATA_DIR=/app/data
WORKDIR /app

COPY requirements.lock .
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
    --require-hashes --only-binary :all: -r requirements.lock

COPY . .

# Production mode starts only with secrets; these exist for this one step and are in no layer.
RUN SECRET_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
    CREDENTIAL_KEYS="$(python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())')" \
    ALLOWED_HOSTS=build.invalid BASE_URL=https://build.invalid \
    DATABASE_URL=postgresql://build.invalid/build REDIS_URL=redis://build.invalid \
    python manage.py collectstatic --no-input --verbosity 0 \
    && useradd --system --uid 10001 --no-create-home callboard \
    && chown -R callboard /app/data

USER callboard
EXPOSE 8000
# The probe names a host that Callboard answers for; /healthz says only that the process serves.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen(r.Request('http://127.0.0.1:8000/healthz', headers={'Host': os.environ['ALLOWED_HOSTS'].split(',')[0]}), timeout=4)"]
# exec form: the signal to stop reaches gunicorn, which lets open requests finish.
CMD ["gunicorn", "config.wsgi", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--workers", "2", "--threads", "4", \
    "--worker-tmp-dir", "/dev/shm", "--graceful-timeout", "20", "--no-control-socket"]
