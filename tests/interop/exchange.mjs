// Token exchange (RFC 8693), which oidc-provider lets others write: an access token of its own, of the client that presents it, for
// one that another API takes.

import { errors } from 'oidc-provider';

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

export function exchange(provider, resourceServer) {
  return async (context) => {
    const { client, params } = context.oidc;
    if (params.subject_token_type !== ACCESS_TOKEN || ![undefined, ACCESS_TOKEN].includes(params.requested_token_type)) {
      throw new errors.InvalidRequest('only access tokens are exchanged');
    }
    const target = params.audience ?? params.resource;
    if (!params.subject_token || !target) {
      throw new errors.InvalidRequest('subject_token and audience or resource are needed');
    }
    const subject = await provider.AccessToken.find(params.subject_token);
    const grant = subject?.isValid && (await provider.Grant.find(subject.grantId));
    if (!grant || subject.clientId !== client.clientId || grant.accountId !== subject.accountId) {
      throw new errors.InvalidGrant('the subject token is not good');
    }
    const info = resourceServer(target);
    const token = new provider.AccessToken({
      accountId: subject.accountId,
      client,
      expiresWithSession: subject.expiresWithSession,
      grantId: subject.grantId,
      gty: 'token_exchange',
      resourceServer: new provider.ResourceServer(target, info),
      scope: info.scope,
      sessionUid: subject.sessionUid,
    });
    context.oidc.entity('AccessToken', token);
    context.body = {
      access_token: await token.save(),
      issued_token_type: ACCESS_TOKEN,
      expires_in: token.expiration,
      scope: token.scope,
      token_type: token.tokenType,
    };
  };
}
